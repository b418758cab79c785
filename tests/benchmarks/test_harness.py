"""What is measured of a row, and that a wrong or broken side is found before it is timed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks import harness
from benchmarks.floor import Floor, Rates
from benchmarks.goals import reached
from benchmarks.harness import Disagreement, Row, Settings, Timed, installed, measure
from benchmarks.results import Results, write

CPU = torch.device("cpu")


@pytest.fixture
def at(tmp_path: Path) -> Settings:
    return Settings(CPU, threads=1, quick=True, folder=tmp_path, seconds=0.0)


def timed(seconds: float, outcome: float = 1.0) -> object:
    return lambda: Timed(seconds, outcome)


def row(job: str = "job", **sides: object) -> Row:
    return Row(job, sides, floor=Floor(bytes=1e6))  # type: ignore[arg-type]


def test_ratios_are_to_the_first_side_that_is_installed(at: Settings) -> None:
    rates = Rates(CPU, quick=True)
    found = measure(row(missing=None, theirs=timed(2.0), ours=timed(0.5)), at, rates)
    assert [(one["by"], one["calls"], one.get("ratio")) for one in found[:3]] == [
        ("missing", 0, None),
        ("theirs", 3, 1.0),  # its first call of 2 s counts
        ("ours", 3, 0.25),
    ]
    assert found[3]["by"] == "floor"
    assert found[3]["ratio"] == pytest.approx(found[3]["seconds"] / 2.0)
    assert found[3]["seconds"] == pytest.approx(1e6 / rates.measured(1)[1])


def test_time_is_that_of_the_call_alone(at: Settings) -> None:
    def work() -> float:
        time.sleep(0.01)
        return 1.0

    slow = Row("job", {"ours": work}, before=lambda: time.sleep(0.4))
    (found,) = measure(slow, at, Rates(CPU, quick=True))
    assert 0.01 <= found["seconds_low"] <= found["seconds"] < 0.4


@pytest.mark.parametrize(
    "outcome", [1.1, float("nan"), [1.0, 1.0], torch.ones(2)], ids=["value", "nan", "two", "shape"]
)
def test_sides_that_disagree_are_not_timed(outcome: object, at: Settings) -> None:
    calls = []

    def theirs() -> object:
        calls.append(1)
        return outcome

    with pytest.raises(Disagreement, match="theirs and ours differ by"):
        measure(row(ours=lambda: 1.0, theirs=theirs), at, Rates(CPU, quick=True))
    assert len(calls) == 1


def test_a_part_of_the_job_may_give_something_else(at: Settings) -> None:
    one = row(ours=lambda: 1.0, part=lambda: 7.0)
    one.parts = frozenset({"part"})
    assert len(measure(one, at, Rates(CPU, quick=True))) == 3


def test_a_package_that_is_missing_is_none() -> None:
    assert installed("no_such_package_here", lambda package: lambda: package) is None
    work = installed("json", lambda package: lambda: package.loads("3"))
    assert work is not None
    assert work() == 3


def test_a_row_that_fails_costs_no_other(
    at: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Settings) -> Iterator[Row]:
        yield row("wrong", ours=lambda: 1.0, theirs=lambda: 2.0)
        yield row("raises", ours=lambda: 1 / 0)
        yield row("clip, 4 × 600", **{"torch": timed(0.2), "ours, `AutoClip(10)`": timed(0.3)})
        raise RuntimeError("no further row")

    monkeypatch.setitem(harness.SUBJECTS, "clipping", {"broken": broken})
    told: list[str] = []
    records, rates, failures = harness.run(at, ["clipping"], ["clipping.broken"], told.append)
    assert told == ["clipping: wrong", "clipping: raises", "clipping: clip, 4 × 600"]
    assert failures == [
        "clipping: wrong: theirs and ours differ by 1",
        "clipping: raises: ZeroDivisionError: division by zero",
        "clipping: broken: RuntimeError: no further row",
    ]
    ((goal, value, _),) = reached(records)
    assert (str(goal), value) == ("clip, 4 × 600: at most 1 × torch", pytest.approx(1.5))
    page = tmp_path / "benchmarks.md"
    page.write_text("# Title\n\nProse.\n", encoding="utf-8")
    for _ in range(2):  # the second replaces what the first wrote
        write(Results.of(at, records, rates, failures, "python -m benchmarks"), tmp_path)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Title\n\nProse.\n\n<!-- cpu:")
    assert text.count("## Measured: cpu") == 1
    assert "**missed**, 1.5 ×" in text
    assert all(failure in text for failure in failures)
