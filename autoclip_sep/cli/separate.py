"""``python separate.py``: an audio file, or a folder of them, into one file per source."""

import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from autoclip_sep import audio
from autoclip_sep.cli import command, compose, trained
from autoclip_sep.cli.build import call
from autoclip_sep.cli.checks import check_choice, check_flag, check_threads
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.score import Separation
from autoclip_sep.separation.chunks import separate_long
from autoclip_sep.training.settings import find_device
from autoclip_sep.types import Batch

USAGE = """
python separate.py run=runs/... input=mix.wav [output=separated] [downmix=true]

Writes <output>/<name>/s1.wav, s2.wav, ... at the input's rate and length. With a folder as input,
every audio file in it is separated; those that can't be read are named and the rest goes on.
"""

CHUNK, OVERLAP = 60, 5  # seconds
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
    elif len(mixture) != channels:
        raise InputError(f"{file} has {len(mixture)} channels, the network takes {channels}")
    if rate != wanted_rate:
        print(f"{file}: resampled from {rate} to {wanted_rate} Hz and back")
    sources = separate_long(
        partial(_separate_batch, run.separation),
        _resample(mixture, rate, wanted_rate),
        CHUNK * wanted_rate,
        OVERLAP * wanted_rate,
        permute=run.config["data"]["permute"],
    )
    for number, source in enumerate(sources, start=1):
        waveform = _fit(_resample(source, wanted_rate, rate), mixture.shape[-1])
        subtype = "PCM_16" if float(waveform.abs().max()) <= 1 else "FLOAT"
        audio.write(folder / f"s{number}.wav", waveform.numpy(), rate, subtype=subtype)
    print(f"{file} -> {folder}/s1.wav ... s{len(sources)}.wav")


def _separate_batch(separation: Separation, mixture: Tensor) -> Tensor:
    """(1, C, T) to (1, S, C, T) on the CPU; the targets of a `Batch` are unknown here."""
    batch = Batch(mixture, mixture[:, None, :, :0], torch.tensor(mixture.shape[-1:]), ("",))
    return separation(batch.to(separation.device)).cpu()


def _resample(waveform: Tensor, source: int, target: int) -> Tensor:
    return torch.from_numpy(audio.resample(waveform.numpy(), source, target)).float()


def _fit(waveform: Tensor, length: int) -> Tensor:
    """Cut or zero-padded to the length of the file it came from."""
    padding = max(length - waveform.shape[-1], 0)
    return torch.nn.functional.pad(waveform[..., :length], (0, padding))
