"""A run that nothing happened to, to compare with; and what was measured, at the end."""

from collections.abc import Callable

import pytest
import torch

from autoclip_sep.runs import provenance
from faults.trained import Place

torch.set_num_threads(1)  # as in all that is forked off, or the last bits would differ


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A folder with a corpus and a run of it that nothing happened to."""
    return Place(tmp_path_factory.mktemp("place"))


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Notes a sentence with a test's numbers for the summary at the end."""
    return lambda sentence: record_property("measured", sentence)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What docs/reliability.md takes over: one row for each number."""
    rows = [
        f"| `{report.nodeid}` | {value} | {report.duration:.0f} s |"
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for name, value in report.user_properties
        if name == "measured"
    ]
    device = provenance.device_name(torch.device("cpu"))
    terminalreporter.section(f"measured at {provenance.commit()} on {device}")
    terminalreporter.write_line("\n".join(sorted(set(rows))))
