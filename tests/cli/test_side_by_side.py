from autoclip_sep.cli.grid import side_by_side
from autoclip_sep.cli.grid.side_by_side import Job, Progress, run_all


def test_a_log_gets_a_line_a_minute_with_the_time_left(monkeypatch, capsys):
    clock = iter([0.0, 30.0, 60.0, 90.0, 180.0, 240.0, 300.0])
    monkeypatch.setattr(side_by_side.time, "monotonic", lambda: next(clock))
    progress = Progress(8)
    for done in (0.0, 0.0, 1.0, 2.0, 4.0, 8.0):
        progress.report(done)
    assert capsys.readouterr().out.splitlines() == [
        "0.0 of 8 jobs after 1 minutes",
        "2.0 of 8 jobs after 3 minutes, about 9 left",
        "4.0 of 8 jobs after 4 minutes, about 4 left",
    ]


def test_a_job_waits_for_those_it_comes_after(tmp_path):
    def job(name, sleep, **more):
        code = f"import time; time.sleep({sleep}); open('order', 'a').write('{name} ')"
        program = f"import os; os.chdir({str(tmp_path)!r}); {code}"
        return Job(name, [("run", ["-c", program])], tmp_path / name, lambda _: 0.0, **more)

    slow, other = job("slow", 1), job("other", 0)
    drawing = job("drawing", 0, after=[slow])
    assert run_all([slow, drawing, other], together=2, threads=1) == []
    assert (tmp_path / "order").read_text().split() == ["other", "slow", "drawing"]
