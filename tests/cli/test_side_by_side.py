from autoclip_sep.cli import side_by_side
from autoclip_sep.cli.side_by_side import Progress


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
