from dataclasses import replace

from autoclip_sep.data.store.fingerprints import fingerprint
from autoclip_sep.data.store.reading import Item, Signal

ITEMS = [
    Item("m1", "train", (Signal("/c/s1/a.wav"), Signal("/c/s2/a.wav", False)), "/c/mix/a.wav"),
    Item("m2", "test", (Signal("/c/s1/b.wav"),)),
]
DIGESTS = {"/c/s1/a.wav": "00", "/c/s2/a.wav": "11", "/c/mix/a.wav": "22", "/c/s1/b.wav": "33"}


def test_fingerprints_stay_what_they_were():
    """A change here would make every store that exists out of date."""
    known = "3dd996b1974a8d31367caa41deeb16154e617eaf4e1fd9d7a0e196ea3c1858a5"
    assert fingerprint(DIGESTS, ITEMS) == known


def test_stems_of_float32_were_another_corpus():
    """A run that began on them must not go on with 16 bits without a word."""
    item = Item("m", "test", (Signal("/c/a.stem.mp4", True, 1),), "/c/a.stem.mp4", 0)
    known = fingerprint({"/c/a.stem.mp4": "00"}, [item])
    assert known != "053c5a9f76fb3e9c438e9497b9f1fb6d9b64ab616a8c4af71edf3e14a377a672"


def test_another_stream_of_the_same_file_is_another_corpus():
    found = set()
    for stream in (None, 0, 1):
        signals = (replace(ITEMS[1].signals[0], stream=stream),)
        found.add(fingerprint(DIGESTS, [ITEMS[0], replace(ITEMS[1], signals=signals)]))
        found.add(fingerprint(DIGESTS, [replace(ITEMS[0], mixture_stream=stream), ITEMS[1]]))
    assert len(found) == 5
