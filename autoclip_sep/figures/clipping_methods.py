"""Clipping methods by family: those of one differ in a setting that one would have to tune."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoclip_sep.clipping.settings import in_label
from autoclip_sep.figures import style
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
COLOURS = {name: (colour, colours) for name, colour, colours in FAMILIES.values()}
OTHERS = ("#6B7178", "Greys")
# Shown for every clipper that has it; of other settings, those that its label shows.
TUNED = ("percentile", "threshold", "num_stddev", "z_threshold", "ratio", "relative")
SYMBOLS = {"percentile": "p", "num_stddev": "n"}  # other settings are called by their own name


@dataclass(frozen=True, order=True)
class Method:
    """A family and one setting of it. values: of the settings that are tuned."""

    family: str
    values: tuple[float, ...] = ()
    setting: str = ""

    @property
    def name(self) -> str:
        """In one line."""
        return f"{self.family}, {self.setting}" if self.setting else self.family


def method(clipping: Mapping[str, Any], percentile: float, label: str) -> Method:
    """What a run was clipped by. p = 100, and AutoClip that only watches, are no clipping.

    clipping: its config. percentile: of the paper's AutoClip, as in RunFound. label: its folder.
    """
    kind = str(clipping["_target_"]).rpartition(".")[2]
    if percentile == 100 or (kind == "AutoClip" and clipping.get("percentile") is None):
        return Method(NO_CLIPPING)
    flat = {key.rpartition(".")[2]: value for key, value in run_directory.flatten(clipping).items()}
    tuned = {key: float(flat[key]) for key in TUNED if flat.get(key) is not None}
    parts = [f"{SYMBOLS.get(key, key)} = {value:g}" for key, value in tuned.items()]
    others = {key: value for key, value in flat.items() if key not in TUNED}
    parts += [f"{key} = {value}" for key, value in others.items() if in_label(key, value) in label]
    family = FAMILIES[kind][0] if kind in FAMILIES else kind
    return Method(family, tuple(tuned.values()), ", ".join(parts))


def colour(family: str) -> str:
    """Of a family."""
    return style.WITHOUT if family == NO_CLIPPING else COLOURS.get(family, OTHERS)[0]


def colour_map(family: str) -> str:
    """For the settings of a family; its lightest part is too faint."""
    return COLOURS.get(family, OTHERS)[1]


def order(one: Method) -> tuple[int, Method]:
    """In tables: none first, then AutoClip, then the others by name and value."""
    return {NO_CLIPPING: 0, FAMILIES["AutoClip"][0]: 1}.get(one.family, 2), one
