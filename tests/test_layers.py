"""The storeys of the house: a room imports only from storeys below it, files never in circles.

Imports are read from the source, those inside functions and under TYPE_CHECKING included.
"""

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "autoclip_sep"

# Files directly in the package, __init__.py aside, are the ground floor: one room, named "".
STOREYS = {
    "cli": 6,
    "pretrained": 5,
    "building": 4,
    "report": 4,
    "training": 3,
    "evaluation": 3,
    "figures": 3,
    "interop": 3,
    "dynamics": 2,
    "separation": 2,
    "data": 2,
    "runs": 1,
    "audio": 1,
    "losses": 1,
    "models": 1,
    "metrics": 1,
    "clipping": 1,
    "statistics": 1,
    "": 0,
}

# The same inside a room that has rooms of its own; the files directly in it are its ground floor.
INNER = {
    "data": {
        "corpora": 3,
        "checks": 2,
        "creation": 2,
        "loading": 2,
        "store": 1,
        "synthesis": 1,
        "voices": 2,
        "": 0,
    },
    "cli": {"commands": 2, "grid": 1, "": 0},
    "evaluation": {"estimates": 1, "metrics": 1, "": 0},
    "training": {"": 1, "loggers": 0},
    "figures": {"clippers": 1, "comparison": 1, "figure1": 1, "scores": 1, "table1": 1, "": 0},
}

# Rooms that may import only some of what lies below them.
ROOMS_OF = {
    "figures": {"", "clipping", "runs", "statistics"},
    "dynamics": {"", "clipping", "runs"},
    "clipping": set(),
    "statistics": {""},
}
FILES_OF = {"dynamics": {"errors", "random_state", "records"}}  # beside those of clipping

# Rooms that may import only some packages, beside the standard library.
PACKAGES_OF = {
    "clipping": {"torch"},
    "dynamics": {"torch"},
    "statistics": {"numpy", "pandas", "scipy"},
}

# The one room that the package itself shows; it imports nothing else.
SHOWN = "clipping"

# Packages that only one room or file may import; () is none: optional.py imports them by name.
HOMES = {
    "soundfile": ("audio/",),
    "hydra": ("cli/",),
    "omegaconf": ("cli/",),
    "museval": (),
    "musdb": (),
    "nussl": (),
    "stempeg": (),
}


def modules(package: Path) -> dict[str, Path]:
    """Dotted name to file; a folder is named by its __init__.py."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, name: str, known: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of whatever a file imports, a submodule rather than its folder."""
    folder = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                above = folder.split(".")[: len(folder.split(".")) - node.level + 1]
                source = ".".join([*above, source] if source else above)
            for alias in node.names:
                member = f"{source}.{alias.name}"
                yield node.lineno, member if member in known else source


def room_of(name: str, known: dict[str, Path]) -> tuple[str, str]:
    """Room and inner room of a module; "" for the ground floor of the package or of a room."""
    parts = name.split(".")
    if name in known and known[name].name != "__init__.py":
        parts = parts[:-1]
    room = parts[1] if len(parts) > 1 else ""
    return room, parts[2] if len(parts) > 2 else ""


def breaches(package: Path) -> list[str]:
    """One line for every import that the house doesn't allow, and for every circle."""
    known = modules(package)
    found: list[str] = []
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        place = path.relative_to(package).as_posix()
        room, inner = room_of(name, known)
        if room not in STOREYS or inner not in INNER.get(room, {"": 0}):
            found.append(f"{place}: {inner or room} is no room of the house")
            continue
        for line, target in imports(path, name, known):
            where = f"{place}:{line} imports {target}"
            if target.split(".")[0] == package.name:
                found += inner_breaches(where, name, target, known)
                graph.setdefault(name, set()).add(target)
            else:
                found += outer_breaches(where, place, room, target.split(".")[0])
    return found + circle(graph)


def inner_breaches(where: str, name: str, target: str, known: dict[str, Path]) -> Iterator[str]:
    """What is wrong with an import of one of our own modules."""
    (room, inner), (other, other_inner) = room_of(name, known), room_of(target, known)
    file = target.split(".")[-1]
    if "." not in name:
        if other != SHOWN:
            yield f"{where}: the package itself shows {SHOWN} and nothing else"
    elif other == room:
        storeys = INNER.get(room, {"": 0})
        if other_inner != inner and storeys.get(other_inner, 99) >= storeys[inner]:
            yield f"{where}: not below storey {storeys[inner]} of {room}"
    elif file.startswith("_"):
        yield f"{where}: that is plumbing of {other}"
    elif STOREYS.get(other, 99) >= STOREYS[room]:
        yield f"{where}: not below storey {STOREYS[room]}"
    elif other not in ROOMS_OF.get(room, {other}):
        yield f"{where}: {room} doesn't use {other or 'the ground floor'}"
    elif other in ("", "runs") and file not in FILES_OF.get(room, {file}):
        yield f"{where}: {room} uses {', '.join(sorted(FILES_OF[room]))} only"


def outer_breaches(where: str, place: str, room: str, package: str) -> Iterator[str]:
    """What is wrong with an import of a package that isn't ours."""
    if not place.startswith(HOMES.get(package, ("",))):
        yield f"{where}: only {' '.join(HOMES[package]) or 'optional.py, by name,'} imports that"
    standard = package in sys.stdlib_module_names
    if room in PACKAGES_OF and not standard and package not in PACKAGES_OF[room]:
        yield f"{where}: {room} imports {', '.join(PACKAGES_OF[room])} only"


def circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"circle: {' <- '.join(error.args[1])}"]
    return []


def test_the_house_stands() -> None:
    assert breaches(PACKAGE) == []


def test_every_room_is_a_package() -> None:
    """Without __init__.py a room would be missing from an installed copy."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_torchaudio_neither_reads_nor_writes_files() -> None:
    """Its load and save need packages that come and go between releases; audio/ does both."""
    files = {"load", "save", "info"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in files:
                assert ast.unparse(node.value) != "torchaudio", f"{path}:{node.lineno}"
            if isinstance(node, ast.ImportFrom) and node.module == "torchaudio":
                assert not files & {alias.name for alias in node.names}, f"{path}:{node.lineno}"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"losses/snr.py": "from autoclip_sep.stft import STFT"}, None),
        ({"losses/a.py": "from autoclip_sep.losses import b", "losses/b.py": ""}, None),
        ({"audio/a.py": "import soundfile", "cli/train.py": "import hydra.utils"}, None),
        ({"figures/a.py": "import matplotlib.pyplot\nfrom autoclip_sep.runs import records"}, None),
        ({"interop/nussl.py": "from autoclip_sep.data import musdb", "data/musdb.py": ""}, None),
        ({"losses/snr.py": "from autoclip_sep.models import blstm"}, "not below storey 1"),
        ({"losses/snr.py": "import autoclip_sep.data.store"}, "not below storey 1"),
        ({"losses/snr.py": "def f():\n    from ..training.trainer import fit"}, "storey 1"),
        ({"stft.py": "from autoclip_sep import losses", "losses/a.py": ""}, "not below storey 0"),
        ({"stft.py": "from . import masks", "masks.py": "from . import stft"}, "circle"),
        ({"data/a.py": "from .b import x", "data/b.py": ""}, None),
        (
            {
                "data/a.py": "from .b import x",
                "data/b.py": "from .c import x",
                "data/c.py": "from . import a",
            },
            "circle",
        ),
        ({"data/__init__.py": "from .a import x", "data/a.py": "from . import y"}, "circle"),
        ({"__init__.py": "from autoclip_sep.clipping import *"}, None),
        ({"__init__.py": "from autoclip_sep.stft import STFT"}, "shows clipping and nothing else"),
        ({"data/digits.py": "import soundfile as sf"}, "only audio/ imports that"),
        ({"audio_files.py": "from soundfile import read"}, "only audio/ imports that"),
        ({"runs/a.py": "from omegaconf import OmegaConf"}, "only cli/ imports that"),
        ({"training/trainer.py": "import hydra"}, "only cli/ imports that"),
        ({"metrics/bss_eval.py": "import museval"}, "optional.py"),
        ({"clipping/norms.py": "import math\nimport torch.nn as nn"}, None),
        ({"clipping/norms.py": "import numpy as np"}, "clipping imports torch only"),
        (
            {"clipping/norms.py": "from autoclip_sep.errors import InputError"},
            "clipping doesn't use",
        ),
        (
            {"dynamics/a.py": "from autoclip_sep.clipping._b import c", "clipping/_b.py": ""},
            "that is plumbing of clipping",
        ),
        ({"dynamics/recorder.py": "from autoclip_sep.runs.records import Records"}, None),
        (
            {"dynamics/recorder.py": "from autoclip_sep.stft import STFT"},
            "errors, random_state, records only",
        ),
        ({"dynamics/recorder.py": "from autoclip_sep.losses import snr"}, "dynamics doesn't use"),
        (
            {"figures/a.py": "from autoclip_sep.metrics import si_sdr"},
            "figures doesn't use metrics",
        ),
        ({"plugins/a.py": ""}, "plugins is no room"),
        ({"data/corpora/a.py": "from autoclip_sep.data.store import b"}, None),
        ({"data/store/a.py": "from autoclip_sep.data import corpora"}, "storey 1 of data"),
        ({"data/loading/a.py": "from autoclip_sep.data import checks"}, "storey 2 of data"),
        ({"data/a.py": "from autoclip_sep.data import store"}, "storey 0 of data"),
        ({"data/shelf/a.py": ""}, "shelf is no room"),
    ],
)
def test_breaches_are_found(tmp_path: Path, files: dict[str, str], expected: str | None) -> None:
    package = tmp_path / "autoclip_sep"
    for name in ("errors", "masks", "runs/records", "stft", "data/store/b"):
        files = {f"{name}.py": "", **files}
    inner = [f"{room}/{below}" for room, storeys in INNER.items() for below in storeys if below]
    for room in (room for room in [*STOREYS, *inner] if room):
        files = {f"{room}/__init__.py": "", **files}
    for name, source in {"__init__.py": "", **files}.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)

    found = breaches(package)

    if expected is None:
        assert found == []
    else:
        assert len(found) == 1
        assert expected in found[0]
