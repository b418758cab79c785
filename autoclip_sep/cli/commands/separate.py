"""``python separate.py``: an audio file, a folder of them, or a pipe into its sources."""

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from autoclip_sep.audio import pipes, soundfiles
from autoclip_sep.cli import command, compose, sound_tree, trained
from autoclip_sep.cli.arguments import check_choice
from autoclip_sep.cli.separating import Sound, latency, separated, source_names
from autoclip_sep.cli.settings import read
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.pretrained import Model
from autoclip_sep.separation.source_files import write_sources

USAGE = """
python separate.py run=runs/... input=mix.wav [output=separated] [downmix=true] [skip=true]
python separate.py model=FOLDER|OWNER/NAME|torchaudio:CONVTASNET_BASE_LIBRI2MIX input=mix.wav
ffmpeg -i mix.mp4 -f wav - | python separate.py run=runs/... input=- output=- > sources.wav

Writes <output>/<name>/s1.wav, s2.wav, ... at the input's rate and length; sources that have names
are files of these names (vocals.wav, ...). <name> is the input's without its suffix, or with it if
another sound beside it is called the same. Whatever libsndfile or ffmpeg decodes is read, by what
is in the file and not by its name; of a video or .stem.mp4, the first sound. With a folder as
input, every audio file below it is separated, into the same folders below the output; those that
can't be read are named and the rest goes on, what is no sound is named and left out, and hidden
files and folders are skipped. No input is written over, and nothing else without force=true;
skip=true leaves sounds whose sources are all there and does the rest, as after a stop.
A file may be of any length: its sources wait on the disk, as 4 bytes per sample, until all of it is
separated.

input=- reads standard input, a WAV or, with format=s16le sample_rate=16000 channels=1, raw samples.
output=- writes standard output as soon as it can: 32-bit WAV of unknown length, or raw samples of
the same format, the channels of the first source, then those of the second, ... A causal network
(model=lstm_causal) is late by a window of its STFT, others by chunk=60 seconds.

masks=soft and sources=3 are for networks that cluster embeddings. trust=PACKAGE lets the run name
your own code.
"""


def main() -> None:
    """The command."""
    command.main("separate", separate, USAGE, check=_check)


def separate(arguments: Sequence[str]) -> None:
    """Separate what the arguments name."""
    settings = read("separate", arguments)
    check_choice(settings, "format", "wav", *pipes.BITS)
    if settings["skip"] and (settings["force"] or "-" in (settings["input"], settings["output"])):
        raise InputError("skip=true is for files, and not with force=true: leave out one of them")
    if settings["output"] != "-":
        _separate(settings, None)
    else:
        with pipes.standard_output() as sink:
            _separate(settings, sink)


def _check(arguments: Sequence[str]) -> None:
    """Of each of several jobs: one stream isn't for all of them."""
    settings = compose.plain(compose.compose("separate", arguments))
    for key in ("input", "output"):
        if settings[key] == "-":
            raise InputError(f"{key}=-: can't be shared by the jobs of -m")


def _separate(settings: Mapping[str, Any], sink: BinaryIO | None) -> None:
    given, output = Path(settings["input"]), Path(settings["output"])
    piped = settings["input"] == "-"
    if not piped and given.is_dir():
        if sink:
            raise InputError(f"input={given}: a folder can't go into one stream, name an output=")
        tree = sound_tree.below(given, output)
    run = trained.adapted(trained.load_model(settings, settings["device"]), settings)
    if not piped and given.is_dir():
        _separate_tree(run, tree, output, settings)
    elif sink:
        sound = _standard_input(settings) if piped else _sound(given)
        _into_stream(run, sound, sink, settings)
    elif piped:
        _into_folder(run, _standard_input(settings), output / "stdin", settings, set())
    else:
        name = sound_tree.folder_name(given, sound_tree.names_in(given.parent))
        _into_folder(run, _sound(given), output / name, settings, {_place(given)})


def _separate_tree(
    run: Model, tree: sound_tree.SoundTree, output: Path, settings: Mapping[str, Any]
) -> None:
    """All sounds of a folder, whichever of them fail; exits with 1 then."""
    for path, why in sorted(tree.others.items()):
        print(shown(f"separate: {path}: left out, {why}"), file=sys.stderr)
    for denied in tree.errors:
        print(f"separate: {command.one_line(denied)}", file=sys.stderr)
    failed = skipped = 0
    inputs = set(map(_place, tree.sounds))
    for file, folder in tree.sounds.items():
        try:
            skipped += not _into_folder(run, _sound(file), output / folder, settings, inputs)
        except BrokenPipeError:  # nobody reads the output any more
            raise
        except Exception as error:
            if (said := command.explained(error)) is None:
                raise
            failed += 1
            if not isinstance(error, InputError | OSError):  # which name it themselves
                said = f"{shown(str(file))}: {said}"
            print(f"separate: {said}", file=sys.stderr)
    failures = failed + len(tree.errors)
    counts = {"there before": skipped, "left out": len(tree.others)}
    more = "".join(f", {count} {what}" for what, count in counts.items() if count)
    print(f"{len(tree.sounds) - failed - skipped} ok, {failures} failed{more}")
    if failures:
        sys.exit(1)


def _sound(file: Path) -> Sound:
    """Read block by block, so that memory doesn't grow with the file."""
    header = soundfiles.info(file)
    if header.sounds > 1:
        print(shown(f"{file}: {header.sounds} sounds, the first is separated"))
    rate, blocks = header.sample_rate, soundfiles.blocks(file)
    return Sound(str(file), rate, header.channels, blocks, header.frames)


def _standard_input(settings: Mapping[str, Any]) -> Sound:
    """WAV, or raw samples of the format that the settings name."""
    encoding, name = settings["format"], "input=-"
    described = {key: settings[key] for key in ("sample_rate", "channels")}
    missing = [key for key, value in described.items() if value is None]
    if encoding != "wav" and missing:
        raise InputError(f"format={encoding}: raw samples need {'=... '.join(missing)}=... too")
    if encoding == "wav" and len(missing) < 2:
        raise InputError(
            "sample_rate= and channels= are for raw samples: say which, as in format=s16le"
        )
    file = pipes.standard_input()
    if encoding == "wav":
        form, head = pipes.read_wav_header(file, name), b""
    else:
        form = pipes.Form(encoding, described["sample_rate"], described["channels"])
        head = file.read(12)
        if pipes.is_wav(head):
            raise InputError(f"input=- is WAV, not raw: leave out format={encoding}")
    blocks = pipes.blocks(file, form, name, head)
    return Sound(name, form.sample_rate, form.channels, blocks)


def _into_folder(
    run: Model,
    sound: Sound,
    folder: Path,
    settings: Mapping[str, Any],
    inputs: Collection[str],
) -> bool:
    """Whole files, or none; whether any were written. inputs: the places of what is separated."""
    paths = [folder / f"{name}.wav" for name in source_names(run)]
    for path in paths:
        if _place(path) in inputs:
            raise InputError(
                f"{sound.name}: would be written over the input {path}: another output=?"
            )
    blocks = separated(run, sound, settings["downmix"])
    if not settings["force"] and _is_done(sound, paths, settings["skip"]):
        return False
    write_sources(blocks, paths, sound.sample_rate)
    print(shown(f"{sound.name} -> {paths[0]} ... {paths[-1].name}"))
    return True


def _is_done(sound: Sound, paths: Sequence[Path], skip: bool) -> bool:
    """Whether all sources are there, and may stay.

    Raises InputError for one that is there, unless `skip` and it may be the sound's own: whole and
    as long, or broken as a power cut leaves it.
    """
    old = [path for path in paths if path.exists()]
    own = [path for path in old if skip and _length(path) == (sound.frames, sound.sample_rate)]
    for path in old:
        if path not in own and not (skip and _length(path) is None):
            whose = "of another length" if skip else "maybe of another sound"
            raise InputError(
                f"{sound.name}: {path} is there already, {whose}: choose another output=, write "
                "over it with force=true" + ("" if skip else ", or leave it with skip=true")
            )
    return own == [*paths]


def _length(path: Path) -> tuple[int, int] | None:
    """Samples and rate; None of what is no whole sound."""
    try:
        header = soundfiles.info(path)
    except InputError:
        return None
    return header.frames, header.sample_rate


def _into_stream(run: Model, sound: Sound, sink: BinaryIO, settings: Mapping[str, Any]) -> None:
    """Each block as soon as it is there, the channels of the first source first."""
    encoding, clipped = settings["format"], 0
    blocks = separated(run, sound, settings["downmix"])
    names, each = source_names(run), run.config["data"]["channels"]
    _say_latency(run, sound)
    print(shown(f"separate: {len(names) * each} channels: {each} each of {', '.join(names)}"))
    if encoding == "wav":
        sink.write(pipes.wav_header(sound.sample_rate, len(names) * each))
        sink.flush()
        encoding = "f32le"
    for block in blocks:
        flat = block.reshape(-1, block.shape[-1]).T
        sink.write(pipes.encode(flat, encoding))
        sink.flush()
        clipped += int((abs(flat) > 1).sum()) if encoding not in ("f32le", "f64le") else 0
    if clipped:
        print(f"separate: {clipped} samples beyond full scale were clipped; format=f32le keeps all")


def _say_latency(run: Model, sound: Sound) -> None:
    samples, rate = latency(run, sound.sample_rate), sound.sample_rate
    how = "" if run.separation.streams else ": a chunk, separated as a whole"
    seconds = samples / rate
    late = f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
    said = f"separate: latency {samples} samples ({late} at {rate} Hz){how}"
    print(said, file=sys.stderr)


def _place(path: Path) -> str:
    """The same for two names of a file, on file systems that don't tell case apart as well."""
    return str(path.parent.resolve() / path.name).casefold()
