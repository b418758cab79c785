"""A trace of some steps, which changes nothing of the run."""

import json

import pytest

from autoclip_sep.training import profiling
from tests.training.small_runs import everything, trainer


@pytest.mark.parametrize("epochs", [2, 3], ids=["one step", "three steps"])
def test_a_trace_and_a_summary_and_the_same_bits(
    tmp_path, tiny_store, capsys, monkeypatch, epochs, assert_same
):
    """Epochs of three steps: the window ends with the epoch in which it begins."""
    if epochs == 3:
        monkeypatch.setattr(profiling, "WARM", 3)
    trainer(tmp_path / "plain", tiny_store, epochs=epochs).fit()
    capsys.readouterr()
    trainer(tmp_path / "traced", tiny_store, epochs=epochs, profile=True).fit()
    said = capsys.readouterr().out
    assert_same(everything(tmp_path / "plain"), everything(tmp_path / "traced"))
    trace = json.loads((tmp_path / "traced" / profiling.TRACE).read_text())
    names = {event.get("name", "") for event in trace["traceEvents"]}
    assert any("lstm" in name for name in names)
    assert any("backward" in name.lower() for name in names)
    steps = {2: 1, 3: 3}[epochs]
    assert f"{steps} steps profiled, cpu time" in said
    assert said.count("steps profiled") == 1
    lines = said[said.index("steps profiled") :].splitlines()
    assert lines[profiling.ROWS + 2].endswith("trace.json")
    assert all(len(line) < 100 for line in lines[1 : profiling.ROWS + 2])
    assert not list((tmp_path / "traced").glob("*.tmp"))


def test_a_run_too_short_for_it_has_no_trace(tmp_path, tiny_store):
    trainer(tmp_path, tiny_store, epochs=1, profile=True).fit()
    assert not (tmp_path / profiling.TRACE).exists()
