"""``python separate.py``: an audio file, or a folder of them, into one file per source."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from autoclip_sep import audio
from autoclip_sep.cli import command, compose, sources, trained
from autoclip_sep.cli.build import call
from autoclip_sep.cli.checks import check_choice, check_flag, check_threads
from autoclip_sep.errors import InputError
from autoclip_sep.training.settings import find_device

USAGE = """
python separate.py run=runs/... input=mix.wav [output=separated] [downmix=true]

Writes <output>/<name>/s1.wav, s2.wav, ... at the input's rate and length; sources that have names
are files of these names (vocals.wav, ...). With a folder as input, every audio file in it is
separated; those that can't be read are named and the rest goes on.
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
    samples, rate = audio.read(file)
    wanted_rate, channels = run.config["data"]["sample_rate"], run.config["data"]["channels"]
    mixture = torch.from_numpy(samples)  # (C, T)
    if len(mixture) > channels == 1:
        if not downmix:
            raise InputError(
                f"{file} has {len(mixture)} channels, the network takes one: add downmix=true"
            )
        mixture = mixture.mean(dim=0, keepdim=True)
    elif len(mixture) == 1 < channels:
        print(f"{file}: one channel, given to the network as {channels}")
        mixture = mixture.expand(channels, -1)
    elif len(mixture) != channels:
        raise InputError(f"{file} has {len(mixture)} channels, the network takes {channels}")
    if rate != wanted_rate:
        print(f"{file}: resampled from {rate} to {wanted_rate} Hz and back")
    separated = run.separation.mixture(_resample(mixture, rate, wanted_rate))
    names = _file_names(run)
    for name, source in zip(names, separated, strict=True):
        waveform = _fit(_resample(source, wanted_rate, rate), mixture.shape[-1])
        subtype = "PCM_16" if float(waveform.abs().max()) <= 1 else "FLOAT"
        audio.write(folder / name, waveform.numpy(), rate, subtype=subtype)
    print(f"{file} -> {folder}/{names[0]} ... {names[-1]}")


def _file_names(run: trained.Trained) -> list[str]:
    """vocals.wav, drums.wav, ...; s1.wav, s2.wav, ... where sources or estimates have no names."""
    names = sources.names(run.config)
    if run.separation.permute or names[0].isdecimal():
        return [f"s{number}.wav" for number in range(1, len(names) + 1)]
    return [f"{name}.wav" for name in names]


def _resample(waveform: Tensor, source: int, target: int) -> Tensor:
    return torch.from_numpy(audio.resample(waveform.numpy(), source, target)).float()


def _fit(waveform: Tensor, length: int) -> Tensor:
    """Cut or zero-padded to the length of the file it came from."""
    padding = max(length - waveform.shape[-1], 0)
    return torch.nn.functional.pad(waveform[..., :length], (0, padding))
