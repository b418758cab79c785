import os
from pathlib import Path

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.creation import _wsj0_discs as wsj0_discs
from autoclip_sep.errors import InputError
from tests.shorten import write_sphere

NAMES = [
    "si_tr_s/01t/01to030v",
    "si_tr_s/20g/20ga010m",
    "si_dt_05/22g/22gc0105",
    "si_et_05/445/445c0206",
]
UTTERANCES = [f"wsj0/{name}.wav" for name in NAMES]
DISCS = dict(zip(NAMES, ("11-1.1", "11-2.1", "11-6.1", "11-14.1"), strict=True))


def samples(name, microphone=1):
    rng = np.random.default_rng([microphone, *name.encode()])
    return rng.integers(-900, 900, 500, dtype=np.int16)


def discs(root, name):
    """As the LDC ships them, with the second microphone and the transcripts."""
    write_sphere(root / DISCS[name] / "wsj0" / f"{name}.wv1", samples(name))
    write_sphere(root / DISCS[name] / "wsj0" / f"{name}.wv2", samples(name, 2))
    (root / DISCS[name] / "wsj0" / f"{name}.ptx").write_text("words")


def upper_case_discs(root, name):
    """As a CD-ROM without Rock Ridge is mounted."""
    folder = root / "CSR_1" / DISCS[name] / "WSJ0"
    write_sphere(folder / f"{name.upper()}.WV1", samples(name))
    write_sphere(folder / f"{name.upper()}.WV2", samples(name, 2))


def merged(root, name):
    write_sphere(root / "wsj0" / f"{name}.wv1", samples(name), version=2)


def merged_without_wsj0(root, name):
    write_sphere(root / f"{name}.sph", samples(name), version=None)


def wav(root, name):
    """Converted, as the published scripts want it."""
    soundfiles.write(root / "wsj0" / f"{name}.wav", samples(name), 16000)


def upper_case_wav(root, name):
    soundfiles.write(root / "WSJ0" / f"{name.upper()}.WAV", samples(name), 16000)


def linked(root, name):
    """Folders of links to discs that lie elsewhere, one of them leading back up."""
    discs(root.parent / "elsewhere", name)
    (root / "links").mkdir(parents=True, exist_ok=True)
    for disc in (root.parent / "elsewhere").iterdir():
        if not (root / "links" / disc.name).exists():
            (root / "links" / disc.name).symlink_to(disc)
    if not (root / "links" / "up").exists():
        (root / "links" / "up").symlink_to(root)


def both(root, name):
    """Converted beside the discs: the same samples twice."""
    discs(root, name)
    wav(root, name)


def on_two_discs(root, name):
    for disc in ("11-1.1", "13-16.1"):
        write_sphere(root / disc / "wsj0" / f"{name}.wv1", samples(name))


LAYOUTS = [discs, upper_case_discs, merged, merged_without_wsj0, wav, upper_case_wav, linked, both]
LAYOUTS += [on_two_discs]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_utterance_is_found(tmp_path, layout):
    root = tmp_path / "corpus, [1]=${x}"
    for name in NAMES:
        layout(root, name)
        decoy = root / "wsj0/sd_tr_s" / Path(name).relative_to(Path(name).parts[0])
        soundfiles.write(decoy.with_suffix(".wav"), samples("decoy"), 16000)
    files = wsj0_discs.locate(root, UTTERANCES, tmp_path / "out", jobs=1, progress=False)
    assert list(files) == UTTERANCES
    for name, file in zip(NAMES, files.values(), strict=True):
        read, rate = soundfiles.read(file, dtype=np.int16)
        assert rate == 16000
        assert np.array_equal(read[0], samples(name))
    assert not (tmp_path / "out").exists()


def test_of_equal_files_the_fastest_to_read_is_taken(tmp_path):
    both(tmp_path, NAMES[0])
    (found,) = wsj0_discs.locate(tmp_path, UTTERANCES[:1], tmp_path, progress=False).values()
    assert found.endswith(".wav")


def test_the_folder_of_a_part_is_enough_for_its_lists(tmp_path):
    merged(tmp_path, NAMES[0])
    folder = tmp_path / "wsj0" / "si_tr_s"
    (found,) = wsj0_discs.locate(folder, UTTERANCES[:1], tmp_path, progress=False).values()
    assert found == str(folder / "01t/01to030v.wv1")


def test_what_is_missing_is_counted_by_folder(tmp_path):
    for name in NAMES[:2]:
        discs(tmp_path, name)
    with pytest.raises(InputError) as caught:
        wsj0_discs.locate(tmp_path, UTTERANCES, tmp_path / "out", jobs=1, progress=False)
    message = str(caught.value)
    assert message.startswith(
        "2 of 4 utterances of the lists (1 of 1 in si_dt_05, 1 of 1 in si_et_05)"
    )
    assert f"below wsj0={tmp_path}, as .wav, .flac, .sph, .wv1" in message
    assert message.endswith(": wsj0/si_dt_05/22g/22gc0105.wav; wsj0/si_et_05/445/445c0206.wav")
    assert not (tmp_path / "out").exists()


def test_a_long_list_of_what_is_missing_is_a_file(tmp_path):
    many = [f"wsj0/si_tr_s/01t/01to{number:04d}.wav" for number in range(50)]
    (tmp_path / "corpus").mkdir()
    with pytest.raises(InputError, match=r"^50 of 50 .*; all 50 in .*mixtures\.refused\.txt$"):
        wsj0_discs.locate(tmp_path / "corpus", many, tmp_path / "out", jobs=1, progress=False)
    assert (tmp_path / "out/mixtures.refused.txt").read_text().splitlines() == many


def test_the_second_microphone_is_never_taken(tmp_path):
    discs(tmp_path, NAMES[0])
    (tmp_path / DISCS[NAMES[0]] / "wsj0" / f"{NAMES[0]}.wv1").unlink()
    with pytest.raises(InputError, match=r"^1 of 1 utterances"):
        wsj0_discs.locate(tmp_path, UTTERANCES[:1], tmp_path, jobs=1, progress=False)


def test_two_files_with_different_samples_are_refused(tmp_path):
    on_two_discs(tmp_path, NAMES[0])
    other = samples(NAMES[0])
    other[77] += 1
    path = write_sphere(tmp_path / "13-16.1/wsj0" / f"{NAMES[0]}.wv1", other)
    with pytest.raises(InputError) as caught:
        wsj0_discs.locate(tmp_path, UTTERANCES[:1], tmp_path, jobs=1, progress=False)
    assert "1 of 1 utterances are there twice" in str(caught.value)
    assert str(caught.value).endswith(f"{NAMES[0]}.wv1 and {path}")


def test_a_second_file_that_is_broken_or_of_another_rate_is_told(tmp_path):
    both(tmp_path, NAMES[0])
    disc = tmp_path / DISCS[NAMES[0]] / "wsj0" / f"{NAMES[0]}.wv1"
    disc.write_bytes(disc.read_bytes()[:1100])
    with pytest.raises(InputError, match=r"are there twice .* truncated"):
        wsj0_discs.locate(tmp_path, UTTERANCES[:1], tmp_path, jobs=1, progress=False)
    write_sphere(disc, samples(NAMES[0]), 8000)
    with pytest.raises(InputError, match=r"are there twice .*\.wav and .*\.wv1"):
        wsj0_discs.locate(tmp_path, UTTERANCES[:1], tmp_path, jobs=1, progress=False)


def test_no_folder_is_told_from_an_empty_one(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        wsj0_discs.locate(tmp_path / "none", UTTERANCES, tmp_path, progress=False)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="a file"):
        wsj0_discs.locate(tmp_path / "file", UTTERANCES, tmp_path, progress=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cant_be_read_is_named(tmp_path):
    merged(tmp_path, NAMES[0])
    (tmp_path / "wsj0").chmod(0)
    try:
        with pytest.raises(InputError, match=r"wsj0: can't be read \(Permission denied\)"):
            wsj0_discs.locate(tmp_path, UTTERANCES, tmp_path, progress=False)
    finally:
        (tmp_path / "wsj0").chmod(0o755)


def test_no_folder_is_seen_twice(tmp_path):
    """Links may lead back up, and a disc may be linked from several places."""
    linked(tmp_path / "root", NAMES[0])
    (tmp_path / "root/again").symlink_to(tmp_path / "elsewhere")
    folders = [os.path.realpath(folder) for folder, _ in wsj0_discs._folders(tmp_path / "root")]
    assert len(folders) == len(set(folders)) == 7
