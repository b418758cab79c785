"""Command line to config: the only use of Hydra. Every mistake becomes one line (InputError)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from autoclip_sep.building import config_files
from autoclip_sep.building.config_files import check_marks, files, is_group, text
from autoclip_sep.cli.arguments import near
from autoclip_sep.errors import InputError
from autoclip_sep.runs.config import Config, checked, read_yaml
from autoclip_sep.runs.older_configs import SETTINGS, upgraded
from autoclip_sep.runs.run_directory import flatten

# Values of these keys are paths: text, whatever characters they hold.
PATH_KEY = re.compile(
    r"(?:run|runs|a|b|input|output|init_from|branch_from|estimates|references|mixtures"
    r"|(?:[^+~].*\.)?(?:root|store|corpora))"
)

INTERPOLATION = r"\$\{"

# What Hydra and OmegaConf let through where a file or a value is nothing that they know.
UNFORESEEN = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError,
    ValueError, yaml.YAMLError,
)  # fmt: skip

SEVERAL = ("logger",)  # groups of which several files may be chosen: logger=[wandb,tensorboard]

TRAINED = ("separate", "export")  # their model= names a trained one; train's chooses a file

LAUNCHERS = ("joblib", "submitit_local", "submitit_slurm")  # of the extra [sweeps]


def set_paths_aside(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments whose values are read by Hydra's grammar, and those whose values are paths."""
    paths = [one for one in arguments if PATH_KEY.fullmatch(one.partition("=")[0]) and "=" in one]
    return [one for one in arguments if one not in paths], paths


def compose(name: str, arguments: Sequence[str]) -> DictConfig:
    """The config that a command's arguments make of configs/<name>.yaml, its hydra node included.

    Raises InputError for anything that Hydra refuses, and for additions (``+key=``) and deletions
    (``~key``) of keys, which would otherwise be ignored without a word.
    """
    arguments, model = _set_model_aside(name, arguments)
    rest, paths = set_paths_aside(arguments)
    words = [*rest]
    for key, _, value in (one.partition("=") for one in paths):
        words.append(f"{key}={_quoted(literal(value))}")
    overrides = parse(words)
    for override in overrides:
        if not override.type == OverrideType.CHANGE or override.package is not None:
            raise InputError(
                f"{override.input_line}: settings can't be added or deleted, only set: key=value"
            )
        group = str(override.key_or_group)
        choice = override.value()
        named = isinstance(choice, str) or override.is_sweep_override()
        if group in SEVERAL and isinstance(choice, list):
            named = bool(choice) and all(isinstance(one, str) for one in choice)
        if not named and is_group(group):
            raise InputError(_unknown_choice(group, str(override.get_value_string())))
    for path in files():
        if "&" in text(path):  # Hydra writes aliases out, whatever that takes
            read_yaml(path)
    try:
        config = _compose(name, words)
        check_marks(choices(config))
        if model:
            config.model = _escaped(model, INTERPOLATION)
        OmegaConf.to_container(_own(config), resolve=True)
    except InputError:
        raise
    except MissingMandatoryValue as error:
        raise InputError(f"{error.full_key} is missing: add {error.full_key}=...") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_explain(name, overrides, error)) from error
    except UNFORESEEN as error:
        asked = " ".join(arguments)
        for path in files():
            if path.stem in asked:
                read_yaml(path)  # which names the file
        reason = " ".join(str(error).partition("\n")[0].split()) or type(error).__name__
        raise InputError(f"{name} {asked}: makes no config ({reason[:200]})") from error
    return config


def _set_model_aside(name: str, arguments: Sequence[str]) -> tuple[list[str], str]:
    """The arguments without the name of a trained model, which Hydra would take for a file's."""
    key = "model="
    named = [one for one in arguments if name in TRAINED and one.startswith(key)]
    if len(named) > 1:
        raise InputError(f"{named[1]}: model must have one value")
    return [one for one in arguments if one not in named], "".join(named).removeprefix(key)


def plain(config: DictConfig) -> Config:
    """The resolved config without Hydra's own node, as plain containers.

    Raises InputError where a value that must be given is missing, one is of a wrong type, or a file
    of the user's own has a setting by its former name, which would be ignored.
    """
    if missing := missing_keys(config):
        raise InputError(f"{missing[0]} is missing: add {missing[0]}=...")
    values: Any = OmegaConf.to_container(_own(config), resolve=True)
    today = flatten(upgraded(values))
    for key in sorted(flatten(values).keys() - today.keys()):
        for name in _names_of_today(key):
            if name in today:
                raise InputError(f"{key} is called {name} now")
    return checked(values)


def missing_keys(config: DictConfig) -> list[str]:
    """The keys that have no default and no value yet."""
    own = _own(config)
    found = OmegaConf.missing_keys(own)
    return sorted(re.sub(r"\[(\d+)\]", r".\1", key) for key in found)  # as Hydra reads them


def choices(config: DictConfig) -> dict[str, str]:
    """Which file of each group was chosen: ``{"data": "demo", "loss": "snr", ...}``."""
    return {str(k): str(v) for k, v in config.hydra.runtime.choices.items() if "/" not in str(k)}


def sweep(name: str, arguments: Sequence[str]) -> list[list[str]]:
    """Every combination of a sweep's values, each as the arguments of a single command.

    Values come from the arguments (``percentile=10,100``) and from ``hydra.sweeper.params`` of the
    config, where an experiment keeps its own.
    """
    arguments, paths = set_paths_aside(arguments)
    given = parse(arguments)
    single = [str(override.input_line) for override in given if not override.is_sweep_override()]
    params = OmegaConf.select(compose(name, single), "hydra.sweeper.params") or {}
    if not isinstance(params, Mapping):
        raise InputError("hydra.sweeper.params: must be a mapping of settings to values")
    keys = {override.key_or_group for override in given}
    extra = [f"{key}={value}" for key, value in params.items() if key not in keys]
    (batch,) = BasicSweeper.split_arguments(parse([*extra, *arguments]), max_batch_size=None)
    return [[*job, *paths] for job in batch]


def parse(arguments: Sequence[str]) -> list[Override]:
    """Read ``key=value`` arguments by Hydra's grammar."""
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        if not key or not (equals or key.startswith("~")):
            raise InputError(f"{argument!r} is no setting: write key=value, see --help")
    try:
        return [OverridesParser.create().parse_override(argument) for argument in arguments]
    except (HydraException, RecursionError, ValueError) as error:
        raise InputError(
            f"{argument[:200]}: the value is not understood; quote it: \"key='value'\""
        ) from error


def _own(config: DictConfig) -> DictConfig:
    """The config without Hydra's node."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def _compose(name: str, arguments: Sequence[str]) -> DictConfig:
    with initialize_config_dir(version_base="1.3", config_dir=str(config_files.CONFIGS)):
        places = ",".join(_quoted(f"file://{folder}") for folder in config_files.ADDED)
        words = [*([f"hydra.searchpath=[{places}]"] if config_files.ADDED else []), *arguments]
        return hydra_compose(name, overrides=words, return_hydra_config=True)


def literal(text: str) -> str:
    """Text in which OmegaConf finds nothing to interpolate."""
    return _escaped(text, INTERPOLATION)


def _quoted(text: str) -> str:
    """Text for Hydra's grammar, which leaves it as it is."""
    text = _escaped(_escaped(text, "'"), r"\Z")
    return f"'{text}'"


def _escaped(text: str, special: str) -> str:
    """A backslash before what is special, and twice those that stand there: no others count."""
    return re.sub(rf"(\\*)({special})", lambda m: 2 * m[1] + (f"\\{m[2]}" if m[2] else ""), text)


def _explain(name: str, overrides: list[Override], error: Exception) -> str:
    """One line for what Hydra or OmegaConf refused, with the near miss."""
    text = str(error)
    if isinstance(error, InterpolationResolutionError):
        return text.strip().split("\n")[0] or f"{name}: an interpolation without an end"
    if found := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(name, found[1], overrides)
    if found := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return f"{found[1]}: must be one value, or a list in []; with -m each of them gets a run"
    if found := re.search(r"Could not find 'hydra/launcher/([^']*)'", text):
        return _unknown_launcher(found[1], re.findall(r"^\t(\w+)$", text, re.MULTILINE))
    if found := re.search(r"Could not (?:find|load) '([^'/]+)/([^']*)'", text):
        return _unknown_choice(found[1], found[2])
    return text.strip().split("\n")[0]


def _unknown_choice(group: str, choice: str) -> str:
    options = [path.stem for path in files(group)]
    return (
        f"{group}={choice}: there is no such {group}{near(choice, options)}; "
        f"there are {', '.join(options)}"
    )


def _unknown_launcher(choice: str, options: list[str]) -> str:
    if choice in LAUNCHERS:
        install = "pip install 'autoclip_sep[sweeps]', or make install in a checkout"
        return f"hydra/launcher={choice} needs the extra [sweeps]: {install}"
    options = sorted({*options, *LAUNCHERS})
    return (
        f"hydra/launcher={choice}: there is no such launcher{near(choice, options)}; "
        f"there are {', '.join(options)}"
    )


def _unknown_key(name: str, key: str, overrides: list[Override]) -> str:
    other = is_group(key)  # that other commands choose from, as they may do from others given here
    chosen = [str(o.input_line) for o in overrides if is_group(str(o.key_or_group)) and not other]
    config = _compose(name, chosen)
    values: Any = OmegaConf.to_container(_own(config))
    keys = sorted({*flatten(values), *values})
    if other:
        settings = flatten(values)
        hint = near(key, [one for one in settings if "." not in one])
        return f"{key}: {name} has no such setting{hint}; there are {', '.join(settings)}"
    owners = [
        f"{path.parent.name}={path.stem}"
        for path in sorted(files(), key=lambda path: (len(path.stem), path))
        if path.parent.name in choices(config) and _sets(path, key)
    ]
    if owners:
        with_what = f" with {' '.join(chosen)}" if chosen else ""
        return f"{key}: there is no such setting{with_what}; it belongs to {' or '.join(owners)}"
    meant = next((one for one in _names_of_today(key) if one in keys), key)
    return f"{key}: there is no such setting{near(meant, keys)}; see --help"


def _sets(path: Path, key: str) -> bool:
    """Whether a file that says where its settings go has this one."""
    package = re.match(r"# @package (\S+)", text(path))
    above = "" if not package or package[1] == "_global_" else f"{package[1]}."
    below = key.startswith(above) and key.removeprefix(above) in (read_yaml(path) or {})
    return package is not None and below


def _names_of_today(key: str) -> Iterator[str]:
    """What a setting by its former name may be called now."""
    above, dot, last = key.rpartition(".")
    return (f"{above}{dot}{new}" for old, new in SETTINGS.values() if old == last)
