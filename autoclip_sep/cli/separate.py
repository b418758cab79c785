"""``python separate.py``: an audio file, or a folder of them, into one file per source."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from autoclip_sep import audio
from autoclip_sep.cli import command, compose, sources, trained
from autoclip_sep.cli.build import call
from autoclip_sep.cli.checks import check_choice, check_flag, check_threads
from autoclip_sep.errors import InputError
from autoclip_sep.resampling import resample_blocks
from autoclip_sep.separation.source_files import write_sources
from autoclip_sep.training.settings import find_device

USAGE = """
python separate.py run=runs/... input=mix.wav [output=separated] [downmix=true]

Writes <output>/<name>/s1.wav, s2.wav, ... at the input's rate and length; sources that have names
are files of these names (vocals.wav, ...). With a folder as input, every audio file in it is
separated; those that can't be read are named and the rest goes on. A file may be of any length: its
sources wait on the disk, as 4 bytes per sample, until all of it is separated.
"""

SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".w64", ".caf"}


def main() -> None:
    """The command."""
    command.main("separate", separate, USAGE)


def separate(arguments: Sequence[str]) -> None:
    """Separate the files that the arguments name."""
    settings = compose.plain(compose.compose("separate", arguments))
    check_choice(settings, "checkpoint", "best", "last")
    check_flag(settings, "downmix")
    check_threads(settings)
    command.set_threads(settings["threads"])
    device = call(find_device, "device", settings["device"])
    files = _files(Path(settings["input"]))
    run = trained.load(settings["run"], settings["checkpoint"], device)
    output = Path(settings["output"])
    if len(files) == 1:
        _separate_file(run, files[0], output / files[0].stem, settings["downmix"])
        return
    failed = 0
    stems = Counter(file.stem for file in files)
    for file in files:
        # a.wav and a.flac must not write into one folder
        folder = output / (file.stem if stems[file.stem] == 1 else file.name)
        try:
            _separate_file(run, file, folder, settings["downmix"])
        except InputError as error:
            failed += 1
            print(f"separate: {error}", file=sys.stderr)
    print(f"{len(files) - failed} ok, {failed} failed")
    if failed:
        sys.exit(1)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{path} holds no audio files ({', '.join(sorted(SUFFIXES))})")
    return files


def _separate_file(run: trained.Trained, file: Path, folder: Path, downmix: bool) -> None:
    """Block by block, so that memory doesn't grow with the file."""
    header = audio.info(file)
    rate, channels = run.config["data"]["sample_rate"], run.config["data"]["channels"]
    if header.channels > channels == 1 and not downmix:
        raise InputError(
            f"{file} has {header.channels} channels, the network takes one: add downmix=true"
        )
    if header.channels != channels and 1 not in (header.channels, channels):
        raise InputError(f"{file} has {header.channels} channels, the network takes {channels}")
    if header.channels == 1 < channels:
        print(f"{file}: one channel, given to the network as {channels}")
    if header.sample_rate != rate:
        print(f"{file}: resampled from {header.sample_rate} to {rate} Hz and back")
    mixture = (_with_channels(torch.from_numpy(block), channels) for block in audio.blocks(file))
    separated = run.separation.stream(_resample(mixture, header.sample_rate, rate))
    waveforms = _first(_resample(separated, rate, header.sample_rate), header.frames)
    names = _file_names(run)
    paths = [folder / name for name in names]
    write_sources((block.numpy() for block in waveforms), paths, header.sample_rate)
    print(f"{file} -> {folder}/{names[0]} ... {names[-1]}")


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
