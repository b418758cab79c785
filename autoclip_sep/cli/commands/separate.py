"""``python separate.py``: an audio file, or a folder of them, into one file per source."""

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from autoclip_sep.audio import soundfiles
from autoclip_sep.audio.resampling import resample_blocks
from autoclip_sep.cli import command, compose, sources, trained
from autoclip_sep.cli.arguments import check_choice
from autoclip_sep.cli.build import call, trust
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.separation.source_files import write_sources
from autoclip_sep.training.settings import find_device

USAGE = """
python separate.py run=runs/... input=mix.wav [output=separated] [downmix=true]

Writes <output>/<name>/s1.wav, s2.wav, ... at the input's rate and length; sources that have names
are files of these names (vocals.wav, ...). <name> is the input's without its suffix, or with it if
another sound beside it is called the same. Whatever libsndfile or ffmpeg decodes is read, by what
is in the file and not by its name; of a video or .stem.mp4, the first sound. With a folder as
input, every audio file in it is separated; those that can't be read are named and the rest goes on,
what is no sound is named and left out, and hidden files are skipped. No input is written over.
A file may be of any length: its sources wait on the disk, as 4 bytes per sample, until all of it is
separated. trust=PACKAGE lets the run name your own code.
"""

# A file of such a name that holds no sound has failed; one of another name is only left out.
SUFFIXES = {
    ".aac", ".aif", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mp3", ".mp4", ".oga", ".ogg",
    ".opus", ".sph", ".w64", ".wav", ".webm", ".wma", ".wv1",
}  # fmt: skip


def main() -> None:
    """The command."""
    command.main("separate", separate, USAGE)


def separate(arguments: Sequence[str]) -> None:
    """Separate the files that the arguments name."""
    settings = compose.plain(compose.compose("separate", arguments))
    check_choice(settings, "checkpoint", "best", "last")
    command.set_threads(settings["threads"])
    device = call(find_device, "device", settings["device"])
    trust(settings["trust"])
    given, output = Path(settings["input"]), Path(settings["output"])
    files, others = _sounds(given) if given.is_dir() else ([given], [])
    run = trained.load(settings["run"], settings["checkpoint"], device)
    named = _named(given if given.is_dir() else given.parent)
    inputs = {file.name.casefold() for file in files}
    if not given.is_dir():
        folder = output / _folder_name(given, named)
        _separate_file(run, given, folder, settings["downmix"], inputs)
        return
    for path in others:
        print(shown(f"separate: {path}: left out, {_what(path)}"), file=sys.stderr)
    failed = 0
    for file in files:
        try:
            folder = output / _folder_name(file, named)
            _separate_file(run, file, folder, settings["downmix"], inputs)
        except BrokenPipeError:  # nobody reads the output any more
            raise
        except Exception as error:
            if (said := command.explained(error)) is None:
                raise
            failed += 1
            if not isinstance(error, InputError | OSError):  # which name it themselves
                said = f"{shown(str(file))}: {said}"
            print(f"separate: {said}", file=sys.stderr)
    left_out = f", {len(others)} left out" if others else ""
    print(f"{len(files) - failed} ok, {failed} failed{left_out}")
    if failed:
        sys.exit(1)


def _sounds(folder: Path) -> tuple[list[Path], list[Path]]:
    """What is to be separated in a folder, and what isn't; hidden files are neither."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if _is_sound(entry)]
    if not files:
        raise InputError(f"{folder}: no audio files, {len(entries)} others")
    return files, [entry for entry in entries if entry not in set(files)]


def _is_sound(path: Path) -> bool:
    """By its name or its content, whole or broken."""
    return not path.is_dir() and (path.suffix.lower() in SUFFIXES or soundfiles.is_audio(path))


def _what(path: Path) -> str:
    return "a folder" if path.is_dir() else "not audio"


def _named(folder: Path) -> dict[str, set[str]]:
    """The visible names in a folder by what they are with and without their suffixes."""
    named: dict[str, set[str]] = {}
    with suppress(OSError):  # a file may be readable in a folder that isn't
        for name in os.listdir(folder):
            if not name.startswith("."):
                for key in (name, Path(name).stem):
                    named.setdefault(key.casefold(), set()).add(name)
    return named


def _folder_name(file: Path, named: Mapping[str, set[str]]) -> str:
    """Unique among the sounds beside the file, and the same whether or not they are separated.

    The name without its suffix, unless another one has that, or is called that with its suffix.
    """
    if not file.stem.strip("."):  # of `...wav`, which would lead out of the output
        return file.name
    others = named.get(file.stem.casefold(), set()) - {file.name}
    return file.name if any(_is_sound(file.with_name(name)) for name in others) else file.stem


def _separate_file(
    run: trained.Trained, file: Path, folder: Path, downmix: bool, inputs: Collection[str]
) -> None:
    """Block by block, so that memory doesn't grow with the file.

    inputs: the names, case-folded, of what is separated from the file's folder.
    """
    header = soundfiles.info(file)
    if header.sounds > 1:
        print(shown(f"{file}: {header.sounds} sounds, the first is separated"))
    rate, channels = run.config["data"]["sample_rate"], run.config["data"]["channels"]
    if header.channels > channels == 1 and not downmix:
        raise InputError(
            f"{file} has {header.channels} channels, the network takes one: add downmix=true"
        )
    if header.channels != channels and 1 not in (header.channels, channels):
        raise InputError(f"{file} has {header.channels} channels, the network takes {channels}")
    if header.channels == 1 < channels:
        print(f"{shown(str(file))}: one channel, given to the network as {channels}")
    if header.sample_rate != rate:
        print(f"{shown(str(file))}: resampled from {header.sample_rate} to {rate} Hz and back")
    paths = [folder / name for name in _file_names(run)]
    over = [path for path in paths if path.name.casefold() in inputs]
    if over and folder.is_dir() and folder.samefile(file.parent):
        raise InputError(f"{file}: would be written over the input {over[0]}: another output=?")
    mixture = (
        _with_channels(torch.from_numpy(block), channels) for block in soundfiles.blocks(file)
    )
    separated = run.separation.stream(_resample(mixture, header.sample_rate, rate))
    waveforms = _first(_resample(separated, rate, header.sample_rate), header.frames)
    write_sources((block.numpy() for block in waveforms), paths, header.sample_rate)
    print(shown(f"{file} -> {paths[0]} ... {paths[-1].name}"))


def _with_channels(waveform: Tensor, channels: int) -> Tensor:
    """(C, n) mixed down to one channel, or one channel given to all."""
    if len(waveform) > channels == 1:
        return waveform.mean(dim=0, keepdim=True)
    return waveform.expand(channels, -1)


def _file_names(run: trained.Trained) -> list[str]:
    """vocals.wav, drums.wav, ...; s1.wav, s2.wav, ... where sources or estimates have no names."""
    names = sources.names(run.config)
    if run.separation.permute or names[0].isdecimal():
        return [f"s{number}.wav" for number in range(1, len(names) + 1)]
    return [f"{name}.wav" for name in names]


def _resample(blocks: Iterable[Tensor], source: int, target: int) -> Iterator[Tensor]:
    resampled = resample_blocks((block.numpy() for block in blocks), source, target)
    return (torch.from_numpy(block) for block in resampled)


def _first(blocks: Iterable[Tensor], length: int) -> Iterator[Tensor]:
    """As many samples; resampling there and back rounds up, twice."""
    for block in blocks:
        yield block[..., :length]
        length = max(0, length - block.shape[-1])
