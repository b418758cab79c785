"""The report as numbers, as one line, and as text; what is found is test_problems.py's."""

import numpy as np
import pytest
from pandas import DataFrame

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.checks.problems import Problem
from autoclip_sep.data.checks.report import Report, check


@pytest.fixture
def corpus(make_items, convert):
    def make(spoil=lambda items: None, **kind):
        items = make_items(**kind)
        spoil(items)
        return convert(items)

    return make


def silence(items, *numbers):
    for n in numbers:
        path = items[n].signals[0].path
        soundfiles.write(path, np.zeros(soundfiles.info(path).frames), 8000)
        other = soundfiles.read(items[n].signals[1].path)[0]
        soundfiles.write(items[n].mixture, other, 8000)


def test_splits_in_numbers(corpus):
    report = check(corpus(lambda items: silence(items, 3, 11)), progress=False)
    train, test = (report.splits.loc[split] for split in ("train", "test"))
    assert (report.sample_rate, report.channels, report.sources, report.noise) == (8000, 1, 2, 0)
    assert (train.mixtures, train.silent, train.clipped) == (10, 1, 0)
    assert (test.mixtures, test.silent, test.distance) == (3, 1, 0)
    assert (train.seconds, train.shortest, train.longest) == (7350 / 8000, 300 / 8000, 1200 / 8000)
    assert 0.39 < train.peak <= 0.4


def test_a_mixture_of_its_own_has_a_distance(corpus):
    def spoil(items):
        own = soundfiles.read(items[4].mixture, dtype=np.int16)[0].copy()
        own[0, 9] += 57
        soundfiles.write(items[4].mixture, own, 8000)

    report = check(corpus(spoil), progress=False)
    assert report.splits["distance"].tolist() == [57.0, 0.0]
    assert report.problems == ()  # the corpus allows it, else it would have been refused


def test_noise_is_counted_apart(corpus):
    def spoil(items):
        path = items[3].signals[1].path
        soundfiles.write(path, np.zeros(soundfiles.info(path).frames), 8000)

    kind = {"signals": 3, "targets": (True, False, False), "mixtures": False}
    report = check(corpus(spoil, **kind), progress=False)
    assert (report.sources, report.noise) == (1, 2)
    assert report.splits["silent"].tolist() == [0, 0]
    assert report.line().endswith("; 1 silent noise")
    assert not report.serious


def test_one_line_for_a_job(corpus):
    report = check(corpus(lambda items: silence(items, 2, 11)), progress=False)
    line = "10 / 3 mixtures, 8,000 Hz, mono, 0.0-0.1 s; 2 silent sources"
    assert report.line() == line
    assert report.serious
    assert report.leak is None


def test_one_line_where_all_is_well(corpus):
    report = check(corpus(channels=2), progress=False)
    assert report.line() == "10 / 3 mixtures, 8,000 Hz, stereo, 0.0-0.1 s"
    assert report.places(10) == ""
    assert not report.serious


def test_a_table_has_a_line_for_each_split(corpus):
    head, train, test = check(corpus(), progress=False).table().splitlines()
    assert len(head) == len(train) == len(test)
    assert train.split() == ["train", "10", "0.00", "0.04", "s", "0.15", "s", train.split()[7],
                             "0", "0", "<=", "2", "LSB"]  # fmt: skip
    assert float(train.split()[7]) == pytest.approx(0.4, abs=0.01)
    assert test.split()[1] == "3"


def report_of(*problems):
    return Report(8000, 3, 2, 0, DataFrame(), problems)


def test_the_serious_come_first_and_long_lists_are_cut():
    report = report_of(
        Problem("clipped source{s}", ("a", "b", "c", "d")),
        Problem("silent mixture{s}", ("e",), serious=True),
    )
    assert report.places(3).splitlines() == [
        "1 silent mixture:", "  e",
        "4 clipped sources, which need not be a fault:", "  a", "  b", "  c", "  and 1 more",
    ]  # fmt: skip
    assert report.places(None).splitlines()[-2:] == ["  c", "  d"]
    assert report.places(4).splitlines()[-2:] == ["  c", "  d"]


def test_a_leak_is_what_training_and_test_share():
    harmless, leak = Problem("a", ("x",), serious=True), Problem("b", ("y",), True, leaks=True)
    assert report_of(harmless).leak is None
    assert report_of(harmless, leak).leak is leak
    assert report_of().layout == "3 channels"
