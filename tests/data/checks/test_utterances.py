import pytest

from autoclip_sep.data.checks._utterances import named_in
from autoclip_sep.data.creation.mixing_lists import Recipe


@pytest.mark.parametrize(
    ("name", "utterances"),
    [
        ("01to030v_0.76421_20ga010m_-0.76421", ["01to030v", "20ga010m"]),
        ("447o030v_0.1232_050c0109_-0.1232", ["447o030v", "050c0109"]),
        ("01to030v_2_20ga010m_-1e-05_22go010j_0", ["01to030v", "20ga010m", "22go010j"]),
        ("84-121123-0020_8842-304647-0001", ["84-121123-0020", "8842-304647-0001"]),
        ("19-198-0001_26-495-0003_84-121-0000", ["19-198-0001", "26-495-0003", "84-121-0000"]),
    ],
)
def test_published_names_tell_their_utterances(name, utterances):
    assert named_in(name) == utterances


@pytest.mark.parametrize(
    "name",
    [
        "", "0", "00042", "1_2", "mix_1_2", "speaker1_1_speaker2_2", "song0001_song0002",
        "01to030v", "01to030v_0.7", "01to030v_20ga010m", "01to030v_x_20ga010m_y", "a/1-2-0003",
        "19-198-0001", "2020-01-17_2020-02-17", "01to030v_1_20ga010m_-1_more", "AM Contra - Heart",
    ],
)  # fmt: skip
def test_other_names_tell_nothing(name):
    assert named_in(name) == []


def test_what_a_mixing_list_names_is_read_again():
    paths = ("wsj0/si_tr_s/01t/01to030v.wav", "wsj0/si_tr_s/20g/20ga010m.wav")
    for gain in ("2.4999", "0", "1.2345678e-07", "-0.5"):
        assert named_in(Recipe(paths, (gain, gain)).name) == ["01to030v", "20ga010m"]
