import pytest

from autoclip_sep.data import speakers
from autoclip_sep.data.corpora.base import KnowsSpeakers
from autoclip_sep.data.corpora.demo import Demo
from autoclip_sep.data.corpora.digits import Digits
from autoclip_sep.data.corpora.librimix import LibriMix
from autoclip_sep.data.corpora.musdb_demo import MusdbDemo
from autoclip_sep.data.corpora.tree import MixtureTree
from autoclip_sep.errors import InputError


@pytest.mark.parametrize(
    ("corpus", "name", "expected"),
    [
        (MixtureTree(), "40ec0029_1.844_40bc0020_-1.844", ("40e", "40b")),
        (MixtureTree(), "01aa010b_1.2e-05_20ga010m_-0_4k4c030g_0", ("01a", "20g")),
        (MixtureTree(count=1, sources=("{split}/s1/{item}.wav",)), "050a050a_0.1_440c020w_-0.1",
         ("050",)),
        (MixtureTree(), "street-01_2.5_dog_1.0", ()),
        (MixtureTree(), "folder/40ec0029_1.844_40bc0020", ()),
        (LibriMix(), "4077-13754-0001_5142-33396-0065", ("4077", "5142")),
        (LibriMix(), "4077-13754_5142-33396-0065", ()),
        (Digits(root="x"), "george0007-42318_1.2_yweweler0012-90311_-1.2", ("george", "yweweler")),
        (Demo(), "404c0005_1.3825_40bc0018_-1.3825", ("404", "40b")),
    ],
)  # fmt: skip
def test_who_speaks_by_the_names_of_mixtures(corpus, name, expected):
    assert isinstance(corpus, KnowsSpeakers)
    assert corpus.speakers_of(name) == expected


def test_music_has_no_speakers():
    assert not isinstance(MusdbDemo(), KnowsSpeakers)


def test_the_demo_corpus_knows_its_voices():
    genders = Demo(speakers=4, test_speakers=2, utterances=2).genders()
    assert genders == {"000": "f", "001": "m", "002": "f", "003": "m", "400": "f", "401": "m"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LibriSpeech/SPEAKERS.TXT",
         "; ID  |SEX| SUBSET |MINUTES| NAME\n; 9 | M | x\n14   | F | train-clean-360 | 25 | K\n"
         "40E  | M | dev-clean | 8.1 | M\n"),
        ("wsj0/doc/spkrinfo.txt", ";; ID Sex\n--- ---\n014  -\n14   F   none\n40E\tM\t\n"),
        ("speakers.csv", "speaker_ID,sex,subset\n14,female,x\n40e,Male,y\nz,x,y\n"),
    ],
)  # fmt: skip
def test_tables_of_speakers_are_found_above_a_root(tmp_path, name, text):
    root = tmp_path / "mixtures" / "wav8k" / "min"
    root.mkdir(parents=True)
    (tmp_path / "mixtures" / "speakers.csv").write_text("of something else\n")
    assert MixtureTree(root=str(root)).genders() == {}
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    assert MixtureTree(root=str(root)).genders() == {"14": "f", "40e": "m"}
    assert LibriMix(root=str(root)).genders() == {"14": "f", "40e": "m"}


def test_a_file_without_genders_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("nothing of the kind\n")
    with pytest.raises(InputError, match="no line begins with a speaker and f or m"):
        speakers.genders(path)
