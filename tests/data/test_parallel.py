import os
import time

import pytest

from autoclip_sep.data.parallel import cores, in_parallel
from autoclip_sep.errors import InputError


def square_slowly_at_first(n: int) -> int:
    time.sleep(0.05 if n == 0 else 0.0)
    return n * n


def fail_at_three(n: int) -> int:
    if n == 3:
        raise InputError("three.wav: not audio")
    return n


@pytest.mark.parametrize("jobs", [1, 2, None])
def test_results_come_in_the_order_of_the_tasks(jobs: int | None) -> None:
    done = in_parallel(square_slowly_at_first, range(20), label="x", jobs=jobs, progress=False)
    assert done == [n * n for n in range(20)]
    assert in_parallel(square_slowly_at_first, [], label="x", jobs=jobs, progress=False) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_keeps_its_one_line(jobs: int) -> None:
    with pytest.raises(InputError, match="not audio"):
        in_parallel(fail_at_three, range(6), label="x", jobs=jobs, progress=False)


def test_cores_are_those_this_process_may_use() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


def test_the_bar_is_shown_on_a_terminal_only(capfd: pytest.CaptureFixture[str]) -> None:
    in_parallel(square_slowly_at_first, range(3), label="voices", jobs=1, progress=True)
    assert "voices" not in capfd.readouterr().err
