"""`separate.py input=folder`: what is separated, left out or failed, and under which names."""

import errno
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.cli.commands import separate as module
from autoclip_sep.cli.commands.separate import separate
from autoclip_sep.errors import InputError
from tests.cli.test_separate import run  # noqa: F401  an untrained network
from tests.encoded import encode, hum
from tests.shorten import write_sphere

SOUND = hum(24_000)
CODED = {
    "a.m4a": "aac", "b.stem.mp4": "aac", "c.aac": "aac", "d.wma": "wmav2", "e.webm": "libopus",
    "f.mp3": "libmp3lame", "g.opus": "libopus", "h.mkv": "aac", "i.MP4": "aac",
}  # fmt: skip


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    (tmp_path / "songs").mkdir()
    return tmp_path / "songs"


@pytest.fixture
def job(run: Path, songs: Path):  # noqa: F811
    def begin(*arguments: str) -> dict[str, int]:
        """Separate the folder; the samples of each source that is there afterwards, by path."""
        output = songs.parent / "out"
        try:
            separate([f"run={run}", f"input={songs}", f"output={output}", *arguments])
        finally:
            begin.found = {
                str(path.relative_to(output)): soundfiles.info(path).frames
                for path in sorted(output.rglob("s?.wav"))
                if path.is_file()
            }
        return begin.found

    return begin


def wav(path: Path, length: int = 900) -> Path:
    soundfiles.write(path, hum(length, seed=length), 8000)
    return path


def test_whatever_can_be_decoded_is_separated(job, songs, capsys) -> None:
    expected = {}
    for name, codec in CODED.items():
        encode(songs / name, SOUND, 48000, codec)
    for name in ("j.wav", "k.flac", "l.aiff", "m.au", "n.w64", "o.caf", "x.wav"):
        wav(songs / name)
    (songs / "x.wav").rename(songs / "without a suffix")
    write_sphere(songs / "p.sph", soundfiles.quantise(hum(800)), 8000, version=None)
    write_sphere(songs / "q.wv1", soundfiles.quantise(hum(800)), 8000, version=1)
    for path in songs.iterdir():
        expected[path.stem] = soundfiles.info(path).frames
    found = job()
    assert found == {
        f"{stem}/s{s}.wav": frames for stem, frames in expected.items() for s in (1, 2)
    }
    assert capsys.readouterr().out.splitlines()[-1] == "18 ok, 0 failed"


def test_what_is_no_sound_is_named_and_counted(job, songs, capsys) -> None:
    wav(songs / "a.wav")
    (songs / "notes.txt").write_text("not a sound")
    (songs / "nothing").touch()
    (songs / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20)
    (songs / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\na.wav\n")
    (songs / "._a.wav").write_bytes(b"\0\5\x16\7" * 40)
    (songs / ".DS_Store").touch()
    wav(songs / ".hidden.wav")
    assert list(job()) == ["a/s1.wav", "a/s2.wav"]
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "1 ok, 0 failed, 4 left out"
    lines = said.err.splitlines()
    assert len(lines) == 4
    for name in ("cover.jpg", "list.m3u8", "nothing", "notes.txt"):
        assert sum(f"songs/{name}: left out" in line for line in lines) == 1


def test_what_claims_to_be_a_sound_and_is_none_fails(job, songs, capsys) -> None:
    wav(songs / "a.wav")
    (songs / "b.wav").touch()
    (songs / "c.M4A").write_text("<html>")
    content = (songs / "a.wav").read_bytes()
    (songs / "truncated").write_bytes(content[:-300])  # known by its content
    (songs / "gone.wav").symlink_to("nowhere.wav")
    with pytest.raises(SystemExit) as stop:
        job()
    assert stop.value.code == 1
    assert list(job.found) == ["a/s1.wav", "a/s2.wav"]
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "1 ok, 4 failed"
    assert len(said.err.splitlines()) == 4


def in_the_way(songs: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (songs.parent / "out").mkdir()
    (songs.parent / "out" / "b").write_text("a file in the folder's place")
    return "out/b"


def too_large(error: Exception, songs: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """As one of a thousand channels may be."""
    real = soundfiles.blocks

    def blocks(path: Path):
        if path.name == "b.wav":
            raise error
        return real(path)

    monkeypatch.setattr(soundfiles, "blocks", blocks)
    return "songs/b.wav: not enough memory"


@pytest.mark.parametrize(
    "fault",
    [
        in_the_way,
        partial(too_large, MemoryError()),
        partial(too_large, RuntimeError("CUDA out of memory. Tried")),
    ],
)
def test_a_file_that_fails_stops_no_other(job, songs, capsys, monkeypatch, fault) -> None:
    for name in "abc":
        wav(songs / f"{name}.wav")
    message = fault(songs, monkeypatch)
    with pytest.raises(SystemExit):
        job()
    assert list(job.found) == ["a/s1.wav", "a/s2.wav", "c/s1.wav", "c/s2.wav"]
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "2 ok, 1 failed"
    assert message in said.err


def test_nobody_listening_ends_the_job(job, songs, monkeypatch) -> None:
    """`| head` closes the pipe: no failure of the file that was at work."""

    def closed(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    for name in "ab":
        wav(songs / f"{name}.wav")
    monkeypatch.setattr(module, "_into_folder", closed)
    with pytest.raises(BrokenPipeError):
        job()


def test_names_are_unique_and_the_same_alone_or_together(job, songs, run) -> None:  # noqa: F811
    lengths = {"a.wav": 901, "a.flac": 902, "a.wav.flac": 903, "b.wav": 904, "c.wav": 905}
    for name, length in lengths.items():
        wav(songs / name, length)
    (songs / "b.txt").write_text("the words to b")
    (songs / ".c.flac").touch()
    folders = {**dict(zip(lengths, lengths, strict=True)), "b.wav": "b", "c.wav": "c"}
    expected = {f"{folders[n]}/s{s}.wav": lengths[n] for n in lengths for s in (1, 2)}
    assert job() == expected
    for name in lengths:
        output = songs.parent / "alone"
        separate([f"run={run}", f"input={songs / name}", f"output={output}"])
    found = {str(p.relative_to(output)): soundfiles.info(p).frames for p in output.rglob("s?.wav")}
    assert found == expected


@pytest.mark.parametrize("name", ["s1.wav", "S2.WAV"])
def test_no_input_is_written_over(run, songs, capsys, name) -> None:  # noqa: F811
    """Whose sources' folder is the input's own: the next file would be a source of the first."""
    wav(songs / "songs.flac", 901)
    before = wav(songs / name, 902).read_bytes()
    with pytest.raises(SystemExit):
        separate([f"run={run}", f"input={songs}", f"output={songs.parent}"])
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "1 ok, 1 failed"
    assert f"songs.flac: would be written over the input {songs}/{name[:2].lower()}.wav" in said.err
    assert (songs / name).read_bytes() == before
    assert sorted(path.name for path in songs.iterdir()) == sorted(["songs.flac", name])
    own = wav(songs.parent / "s1" / "s1.wav", 903)
    before = own.read_bytes()
    with pytest.raises(InputError, match=r"s1\.wav: would be written over the input"):
        separate([f"run={run}", f"input={own}", f"output={songs.parent}"])
    assert own.read_bytes() == before


@pytest.mark.parametrize("kind", ["empty", "text"])
def test_a_folder_without_a_sound_is_refused(job, songs, kind) -> None:
    if kind == "text":
        (songs / "notes.txt").write_text("not a sound")
    with pytest.raises(InputError, match="songs: no audio files"):
        job()


def test_of_several_sounds_the_first_is_separated(job, songs, write_stems, capsys) -> None:
    stems = [hum(20_000, 2, seed) for seed in range(3)]
    write_stems(songs / "a.stem.mp4", stems)
    job("downmix=true")
    assert "3 sounds" in capsys.readouterr().out
    samples = sum(soundfiles.read(songs.parent / f"out/a.stem/s{s}.wav")[0][0] for s in (1, 2))
    first, second = (np.corrcoef(stem.mean(axis=0), samples[:20_000])[0, 1] for stem in stems[:2])
    assert abs(first) > 3 * abs(second)


def test_a_tree_keeps_its_folders(job, songs, capsys) -> None:
    for name in ("01.wav", "a/01.wav", "a/b c/\u00e9.wav", "sub.wav/inner.wav", "e/f/g.wav"):
        wav(songs / name)
    for name in (".hidden/x.wav", "a/.git/x.wav"):
        wav(songs / name)
    (songs / "empty").mkdir()
    folders = ["01", "a/01", "a/b c/\u00e9", "e/f/g", "sub.wav/inner"]
    assert list(job()) == [f"{folder}/s{s}.wav" for folder in folders for s in (1, 2)]
    assert capsys.readouterr().out.splitlines()[-1] == "5 ok, 0 failed"


def test_a_sound_beside_a_folder_of_its_name_keeps_its_suffix(job, songs) -> None:
    """Or the sources of a.wav would lie among the folders of those in a."""
    wav(songs / "a.wav", 901)
    wav(songs / "a/s1.wav", 902)
    wav(songs / "a/s1.flac", 903)
    (songs / "b").mkdir()
    wav(songs / "b.wav", 904)
    lengths = {"a.wav": 901, "a/s1.flac": 903, "a/s1.wav": 902, "b": 904}
    assert job() == {f"{folder}/s{s}.wav": n for folder, n in lengths.items() for s in (1, 2)}


def test_links_lead_in_no_circles_and_nowhere_twice(job, songs, capsys) -> None:
    wav(songs / "a/01.wav")
    (songs / "a/up").symlink_to(songs)
    (songs / "b").symlink_to(songs / "a")
    wav(songs.parent / "elsewhere/02.wav")
    (songs / "c").symlink_to(songs.parent / "elsewhere")
    assert list(job()) == ["a/01/s1.wav", "a/01/s2.wav", "c/02/s1.wav", "c/02/s2.wav"]
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "2 ok, 0 failed, 2 left out"
    assert len(said.err.splitlines()) == 2


def test_the_output_inside_the_input_is_not_read_again(job, songs, monkeypatch) -> None:
    wav(songs / "a/01.wav")
    monkeypatch.chdir(songs)
    for _ in range(2):
        job("input=.", "output=separated", "force=true")
    assert sorted(str(path) for path in Path().rglob("*.wav")) == [
        "a/01.wav", "separated/a/01/s1.wav", "separated/a/01/s2.wav",
    ]  # fmt: skip
    with pytest.raises(InputError, match="is the input itself"):
        job("input=.", f"output={songs}")


def test_a_folder_that_cannot_be_read_is_a_failure(job, songs, capsys, monkeypatch) -> None:
    wav(songs / "a.wav")
    (songs / "closed").mkdir()
    real = os.scandir

    def scandir(path: str):
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(SystemExit):
        job()
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "1 ok, 1 failed"
    assert "songs/closed: not permitted" in said.err


def test_sources_of_another_sound_are_not_written_over(job, songs, run, capsys) -> None:  # noqa: F811
    one, other = wav(songs / "a/01.wav", 901), wav(songs / "b/01.wav", 902)
    output = songs.parent / "flat"
    separate([f"run={run}", f"input={one}", f"output={output}"])
    given = [f"run={run}", f"input={other}", f"output={output}"]
    with pytest.raises(InputError, match=r"01/s1\.wav is there already.*force=true"):
        separate(given)
    assert soundfiles.info(output / "01/s1.wav").frames == 901
    separate([*given, "force=true"])
    assert soundfiles.info(output / "01/s1.wav").frames == 902
    job()
    wav(songs / "c.wav")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        job()
    assert capsys.readouterr().out.splitlines()[-1] == "1 ok, 2 failed"


def test_a_folder_goes_on_where_it_stopped(job, songs, capsys) -> None:
    """Sources that are all there and whole are left; those of a half one are made anew."""
    for name, length in {"a": 901, "b": 902, "c": 903, "d": 904}.items():
        wav(songs / f"{name}.wav", length)
    job()
    whole = {path: path.read_bytes() for path in sorted(songs.parent.glob("out/*/s?.wav"))}
    capsys.readouterr()
    with pytest.raises(SystemExit):
        job()
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "0 ok, 4 failed"
    assert all("skip=true" in line for line in said.err.splitlines())
    (songs.parent / "out/b/s2.wav").unlink()  # killed between the two
    (songs.parent / "out/c/s1.wav").write_bytes(b"")  # as a power cut leaves it
    marked = wav(songs.parent / "out/a/s1.wav", 901).read_bytes()
    job("skip=true")
    assert capsys.readouterr().out.splitlines()[-1] == "2 ok, 0 failed, 2 there before"
    first, *others = whole
    assert first.read_bytes() == marked
    assert all(path.read_bytes() == whole[path] for path in others)


def test_sources_of_another_sound_are_not_taken_for_finished(job, songs, capsys) -> None:
    for name, length in {"a": 901, "b": 902}.items():
        wav(songs / f"{name}.wav", length)
    job()
    wav(songs / "a.wav", 1000)
    wav(songs / "c.wav", 903)
    with pytest.raises(SystemExit):
        job("skip=true")
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "1 ok, 1 failed, 1 there before"
    assert "out/a/s1.wav is there already, of another length" in said.err
    for other in ("force=true", "output=-", "input=-"):
        with pytest.raises(InputError, match="skip=true is for files, and not with force=true"):
            job("skip=true", other)
