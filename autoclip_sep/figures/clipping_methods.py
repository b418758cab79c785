"""Clippings by family: those of one family differ in a setting that one would have to tune."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from autoclip_sep.clipping.settings import in_label
from autoclip_sep.figures import style
from autoclip_sep.figures.comparable import Seeds
from autoclip_sep.figures.runs import RunFound
from autoclip_sep.runs import run_directory

NO_CLIPPING = "No clipping"

# By class: name, colour, colour map. Any other is named by its class and grey.
FAMILIES = {
    "AutoClip": ("AutoClip", style.WITH, "viridis"),
    "NormClipping": ("Global norm", "#D98E04", "YlOrBr"),
    "LocalNormClipping": ("Local norm", "#8C6D46", "copper_r"),
    "ValueClipping": ("By value", "#7A5C8E", "Purples"),
    "ALRC": ("ALRC", "#C2509B", "RdPu"),
    "Combined": ("ALRC and AutoClip", "#5B4FA0", "BuPu"),
}
OTHERS_COLOUR, OTHERS_MAP = "#6B7178", "Greys"
# What is told of every clipper that has it; of other settings those that its label tells.
TUNED = ("percentile", "threshold", "num_stddev", "z_threshold", "ratio", "relative")
SYMBOLS = {"percentile": "p", "num_stddev": "n"}  # other settings are called by their own name


@dataclass(frozen=True, order=True)
class Clipping:
    """A family and one setting of it. values: of the settings that are tuned."""

    family: str
    values: tuple[float, ...] = ()
    setting: str = ""

    @property
    def name(self) -> str:
        """In one line."""
        return " ".join(filter(None, [self.family + "," * bool(self.setting), self.setting]))


def clipping(run: RunFound) -> Clipping:
    """What a run was clipped by. p = 100, and AutoClip that only watches, are no clipping."""
    settings = run.config["clipping"]
    kind = str(settings["_target_"]).rpartition(".")[2]
    if run.percentile == 100 or (kind == "AutoClip" and settings.get("percentile") is None):
        return Clipping(NO_CLIPPING)
    flat = {key.rpartition(".")[2]: value for key, value in run_directory.flatten(settings).items()}
    tuned = {key: float(flat[key]) for key in TUNED if flat.get(key) is not None}
    parts = [f"{SYMBOLS.get(key, key)} = {value:g}" for key, value in tuned.items()]
    others = {key: value for key, value in flat.items() if key not in TUNED}
    label = run.directory.parent.name
    parts += [f"{key} = {value}" for key, value in others.items() if in_label(key, value) in label]
    return Clipping(family_name(kind), tuple(tuned.values()), ", ".join(parts))


def family_name(kind: str) -> str:
    """Of a class."""
    return FAMILIES[kind][0] if kind in FAMILIES else kind


def by_clipping(found: Iterable[RunFound]) -> dict[Clipping, Seeds]:
    """The runs by clipping and seed: none first, then AutoClip, then the others by name."""
    members: dict[Clipping, Seeds] = defaultdict(dict)
    for run in found:
        members[clipping(run)].setdefault(int(run.config["seed"]), run)
    first = {NO_CLIPPING: 0, FAMILIES["AutoClip"][0]: 1}
    return dict(sorted(members.items(), key=lambda item: (first.get(item[0].family, 2), item[0])))


def colour(family: str) -> str:
    """Of a family."""
    if family == NO_CLIPPING:
        return style.WITHOUT
    return next((one[1] for one in FAMILIES.values() if one[0] == family), OTHERS_COLOUR)


def colour_map(family: str) -> str:
    """For the settings of a family; its lightest part is too faint."""
    return next((one[2] for one in FAMILIES.values() if one[0] == family), OTHERS_MAP)
