"""Checkpoints that are whole or absent.

A file is written under a temporary name, synced, then renamed. Its sha256 is written beside it
first, so no checkpoint lacks one. Names carry the step, so no file is ever overwritten and the
previous one stays until the new one is on the disk. States hold tensors and plain containers only,
and load with ``weights_only=True``.
"""

import hashlib
import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import torch

from autoclip_sep.errors import InputError
from autoclip_sep.files import sweep, write_whole
from autoclip_sep.names import shown

State = dict[str, Any]

# The globals of tensors and plain containers in a pickle. torch.load allows more, such as
# `bytearray` and untyped storages, which turn a number into gigabytes.
PLAIN = re.compile(
    r"torch\._utils _rebuild_tensor_v[23]|torch \w+Storage"
    r"|collections (OrderedDict|Counter)|torch (Size|b?float\d+|u?int\d+|bool|complex\d+)"
)


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise InputError(
            f"cannot save {path} ({len(content):,} bytes needed): {error.strerror}; "
            "make room or choose another folder with runs=..., then run the same command again"
        ) from error


def _digest_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def delete(path: Path) -> None:
    """Delete a checkpoint and its digest."""
    path.unlink()
    _digest_path(path).unlink(missing_ok=True)


def digest(path: Path) -> str:
    """The sha256 recorded beside a checkpoint."""
    return _digest_path(path).read_text(encoding="utf-8").split()[0]


def save(path: Path, state: State) -> None:
    """Write a state to a path that doesn't exist yet, and its digest beside it.

    Its folder is created, but not the parents: a deleted run must not reappear in part. Raises
    InputError then, and where the disk is full or the folder can't be written; nothing is left.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    try:
        path.parent.mkdir(exist_ok=True)
    except FileNotFoundError as error:
        raise InputError(f"{path.parent.parent} was deleted: {path.name} is not saved") from error
    line = f"{hashlib.sha256(content).hexdigest()}  {path.name}\n"
    try:
        _write(_digest_path(path), line.encode())
        _write(path, content)
    except InputError:
        path.unlink(missing_ok=True)  # it exists if only the sync of its folder failed
        _digest_path(path).unlink(missing_ok=True)
        raise


def copy(path: Path, to: Path) -> None:
    """Copy a checkpoint and its digest to a path that doesn't exist yet."""
    to.parent.mkdir(exist_ok=True)
    _write(_digest_path(to), f"{digest(path)}  {to.name}\n".encode())
    _write(to, path.read_bytes())


def load(path: Path, map_location: torch.device | str = "cpu") -> State:
    """Read a state whose digest matches. Nothing in it can run code.

    Raises InputError where the file is missing, damaged or not a checkpoint.
    """
    try:
        content = path.read_bytes()
        expected = digest(path)
    except (OSError, IndexError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the checkpoint {path} and its .sha256: {error}") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise InputError(f"the checkpoint {path} is damaged: its sha256 is not the recorded one")
    try:
        _check_plain(content)
        return torch.load(io.BytesIO(content), map_location=map_location, weights_only=True)
    except Exception as error:  # torch raises many types here, all with this meaning
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{path} is not a checkpoint of tensors and numbers: {reason}") from error


def _check_plain(content: bytes) -> None:
    """Raises ValueError for content that would take more memory than the file has bytes.

    torch itself compares the size of each tensor with that of its storage.
    """
    for name in globals_of(content):
        if not PLAIN.fullmatch(name):
            raise ValueError(f"it contains {name!r}")


def globals_of(content: bytes) -> Iterator[str]:
    """The globals in a file of torch.save: module and name, separated by a space.

    Raises ValueError where a member of the file is compressed: it may expand to gigabytes.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("it has compressed members, which torch.save never writes")
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        for operation, argument, _ in pickletools.genops(archive.read(pickled)):
            if operation.name == "GLOBAL":
                yield str(argument)


KINDS = ("last", "best", "ema", "kept", "trunk")


def position(path: Path) -> tuple[int, int]:
    """The step of a checkpoint and the epochs done, by its name."""
    _, step, epochs = path.stem.split("-")
    return int(step), int(epochs)


class CheckpointFolder:
    """The checkpoints of one run: ``last-*.pt`` to resume from, ``best-*.pt`` to use.

    ``ema-*.pt`` are the averaged weights with the lowest validation loss of their own.
    ``kept-*.pt`` are the ones to branch from; ``trunk-*.pt`` are a branch's until it begins.

    Their names end in ``<step>-<epochs done>``: a run can be resumed both after the last step of an
    epoch and after the epoch's validation.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def paths(self, kind: str) -> list[Path]:
        """The paths of a kind (last, best), oldest first."""
        pattern = re.compile(rf"{re.escape(kind)}-\d+-\d+\.pt")
        found = self.folder.glob(f"{kind}-*.pt") if self.folder.is_dir() else []
        return sorted(path for path in found if pattern.fullmatch(path.name))

    def open(self) -> None:
        """Create the folder and delete leftovers of killed saves: for the holder of the lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep(self.folder)
        for kind in KINDS:
            for path in self.folder.glob(f"{kind}-*.pt.sha256"):
                if not path.with_suffix("").exists():
                    path.unlink()

    def save(self, kind: str, step: int, epochs: int, state: State, keep: int | None = 2) -> Path:
        """Save a state unless that file exists, then delete all but the newest `keep`.

        keep: None deletes none.
        """
        path = self.folder / f"{kind}-{step:09d}-{epochs:05d}.pt"
        if path not in self.paths(kind):
            save(path, state)
        for old in self.paths(kind)[:-keep] if keep else []:
            delete(old)
        return path

    def discard_after(self, kind: str, step: int) -> None:
        """Delete the checkpoints of later steps, which will be computed again."""
        for path in self.paths(kind):
            if position(path)[0] > step:
                delete(path)

    def set_aside(self, kind: str, number: int) -> None:
        """Rename the newest `number` checkpoints, found damaged, so that their names are free."""
        for path in self.paths(kind)[len(self.paths(kind)) - number :]:
            path.rename(path.with_name(path.name + ".damaged"))
            _digest_path(path).unlink(missing_ok=True)

    def newest(self, kind: str) -> tuple[State | None, list[str]]:
        """The newest whole checkpoint, and the error of each newer one that was skipped.

        Raises InputError where there are checkpoints and none is whole.
        """
        errors: list[str] = []
        for path in reversed(self.paths(kind)):
            try:
                return load(path), errors
            except InputError as error:
                errors.append(str(error))
        if errors:
            raise InputError(f"no whole '{kind}' checkpoint in {self.folder}: {errors[0]}")
        return None, errors

    def read(self, kind: str, file: TextIO | None = None) -> tuple[Path, State] | None:
        """The newest whole checkpoint, with its path; None where there are none.

        Prints a line for each newer one, to standard output or to the file. Raises as `newest`.
        """
        state, errors = self.newest(kind)
        for error in errors:
            print(shown(f"{error}; using the one before"), file=file)
        return None if state is None else (self.paths(kind)[-1 - len(errors)], state)
