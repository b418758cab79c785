import os
import signal
import time

import pytest

from autoclip_sep import parallel
from autoclip_sep.errors import InputError
from autoclip_sep.parallel import cores, in_parallel


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


def odd_numbers_fail(n: int) -> int:
    if n % 2:
        raise InputError(f"{n}.wav: not audio")
    return n


def fail_slowly(n: int) -> int:
    time.sleep(0.002)
    return odd_numbers_fail(n)


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_work_goes_on_where_failures_are_collected(jobs: int) -> None:
    wrong = ["before"]
    done = in_parallel(
        odd_numbers_fail, range(7), label="x", jobs=jobs, progress=False, failures=wrong
    )
    assert done == [0, 2, 4, 6]
    assert wrong == ["before", "1.wav: not audio", "3.wav: not audio", "5.wav: not audio"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_where_everything_fails_it_ends_early(jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "MANY", 5)
    wrong: list[str] = []
    tasks = [1] * 3000
    in_parallel(fail_slowly, tasks, label="x", jobs=jobs, progress=False, failures=wrong)
    assert 5 <= len(wrong) < 1500


def test_other_errors_are_no_failures() -> None:
    with pytest.raises(ZeroDivisionError):
        in_parallel(lambda n: 1 // n, [0], label="x", jobs=1, progress=False, failures=[])


def test_cores_are_those_this_process_may_use() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


def test_the_bar_is_shown_on_a_terminal_only(capfd: pytest.CaptureFixture[str]) -> None:
    in_parallel(square_slowly_at_first, range(3), label="voices", jobs=1, progress=True)
    assert "voices" not in capfd.readouterr().err


def gets_ctrl_c(_: int) -> bool:
    return signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_ctrl_c_is_for_this_process_alone() -> None:
    """Worker processes that get it print tracebacks over the one line for the user."""
    parallel.release()
    assert in_parallel(gets_ctrl_c, range(4), label="x", jobs=2, progress=False) == [False] * 4
    assert gets_ctrl_c(0)
    assert in_parallel(gets_ctrl_c, range(4), label="x", jobs=1, progress=False) == [True] * 4


def kill_the_third(n: int) -> int:
    if n == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def test_a_killed_process_is_one_line_and_the_next_call_works() -> None:
    with pytest.raises(InputError, match="killed, perhaps because memory ran out") as no:
        in_parallel(kill_the_third, range(6), label="x", jobs=2, progress=False)
    assert "\n" not in str(no.value)
    done = in_parallel(fail_at_three, range(3), label="x", jobs=2, progress=False)
    assert done == [0, 1, 2]


def test_relative_paths_are_those_of_the_folder_that_one_is_in(tmp_path, monkeypatch):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        found = in_parallel(os.path.abspath, ["a", "b"], label="", jobs=2, progress=False)
        assert found == [str(tmp_path / name / letter) for letter in "ab"]
