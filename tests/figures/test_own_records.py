"""Figures of a loop of one's own: the CSV files of a Recorder or of Spikes, and the page of all."""

import math
from collections import Counter

import pytest

from autoclip_sep.cli.commands import figures as command
from autoclip_sep.dynamics import COLUMNS, SPIKE_COLUMNS
from autoclip_sep.errors import InputError
from autoclip_sep.figures import index, own_records, spikes
from autoclip_sep.runs.records import Records


def draw_all(paths, output):
    return own_records.draw_all(paths, output, command.OF_RECORDS)


def write_dynamics(path, *, threshold=math.inf, smoothness=1.0, rows=12):
    path.parent.mkdir(parents=True, exist_ok=True)
    file = Records(path, COLUMNS)
    for n in range(1, rows + 1):
        file.append({
            "step": n, "epoch": 1, "loss": 1 / n, "grad_norm": 1 + n % 3, "threshold": threshold,
            "scale": min(1.0, threshold / (1 + n % 3)), "step_norm": 0.1 * (1 + n % 2),
            "smoothness": smoothness * (1 + n % 3), "lr": 0.1, "skipped": 0,
        })  # fmt: skip
    return path


def write_spikes(path, batches):
    path.parent.mkdir(parents=True, exist_ok=True)
    file = Records(path, SPIKE_COLUMNS)
    for step, norm, median, items in batches:
        for item in items:
            file.append({
                "step": step, "epoch": 1, "grad_norm": norm, "median_norm": median, "item": item,
                "loss": 1.0,
            })  # fmt: skip
    return path


def test_one_file_is_drawn(tmp_path):
    path = write_dynamics(tmp_path / "a.csv", threshold=1.5)
    first, *others = draw_all([path], tmp_path / "out")
    assert first == f"{tmp_path / 'out' / 'figure1'}.png  r = 1.00 in a"
    assert len(others) == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{stem}.{suffix}" for stem in ("figure1", "thresholds", "step_sizes")
        for suffix in ("png", "pdf")
    }  # fmt: skip


def test_files_are_named_by_what_tells_them_apart(tmp_path):
    paths = [write_dynamics(tmp_path / run / "dynamics.csv") for run in ("one", "two", "three")]
    line = draw_all(paths, tmp_path / "out")[0]
    assert line.endswith("r = 1.00 in one, 1.00 in two, 1.00 in three")
    alike = [write_dynamics(tmp_path / run / "a" / "x.csv") for run in ("one", "two")]
    assert list(own_records._names(alike).values()) == ["one/a", "two/a"]


def test_what_a_file_lacks_is_told_and_the_rest_is_drawn(tmp_path):
    path = write_dynamics(tmp_path / "a.csv", smoothness=math.nan)
    lines = draw_all([path], tmp_path / "out")
    assert lines[0].startswith("not drawn: ")
    assert "0 rows with a smoothness" in lines[0]
    assert (tmp_path / "out" / "step_sizes.png").is_file()


def test_too_many_files_are_refused(tmp_path):
    paths = [write_dynamics(tmp_path / f"{n}.csv") for n in range(5)]
    with pytest.raises(InputError, match="5 files: at most 4 are drawn beside each other"):
        draw_all(paths, tmp_path)


def test_spikes_are_steps_with_the_examples_in_them(tmp_path):
    path = write_spikes(tmp_path / "spikes.csv", [
        (7, 10.0, 2.0, ["a", "b"]), (9, math.nan, 2.0, ["a", "c"]), (12, 40.0, 4.0, ["a"]),
    ])  # fmt: skip
    found = spikes.read(path)
    assert found.step.tolist() == [7, 9, 12]
    assert found.ratio.tolist() == [5, math.inf, 10]
    assert found.items == Counter(a=3, b=1, c=1)
    (line,) = draw_all([path], tmp_path / "out")
    assert line == f"{tmp_path / 'out' / 'spikes'}.png  3 spikes"
    assert (tmp_path / "out" / "spikes.pdf").is_file()


def test_runs_are_named_by_their_folders_beside_spikes_too(tmp_path):
    paths = [write_dynamics(tmp_path / run / "dynamics.csv") for run in ("without", "with")]
    of_spikes = write_spikes(tmp_path / "with" / "spikes.csv", [(7, 10.0, 2.0, ["a"])])
    lines = draw_all([*paths, of_spikes], tmp_path / "out")
    assert lines[0].endswith("r = 1.00 in without, 1.00 in with")
    assert lines[-1] == f"{tmp_path / 'out' / 'spikes'}.png  1 spike"
    assert "spikes.png" in index.write(tmp_path / "out").read_text()


def test_a_run_without_spikes_is_drawn_all_the_same(tmp_path):
    paths = [write_dynamics(tmp_path / "dynamics.csv"), write_spikes(tmp_path / "spikes.csv", [])]
    *drawn, last = draw_all(paths, tmp_path / "out")
    assert all(".png" in line for line in drawn)
    assert last.startswith("not drawn: ")


def test_of_examples_in_as_many_spikes_the_largest_loss_comes_first(tmp_path):
    path = tmp_path / "spikes.csv"
    file = Records(path, SPIKE_COLUMNS)
    for item, loss in (("a", 1.0), ("b", 9.0), ("c", math.nan), ("d", 2.0)):
        file.append({"step": 1, "epoch": 1, "grad_norm": 9.0, "median_norm": 1.0, "item": item,
                     "loss": loss})  # fmt: skip
    assert [item for item, _ in spikes.read(path).items.most_common()] == ["c", "b", "d", "a"]


def test_names_of_examples_are_no_mathematics_and_stay_short(tmp_path):
    path = write_spikes(tmp_path / "spikes.csv", [(1, 9.0, 1.0, ["$x_1", "y" * 100, "a\nb"])])
    spikes.draw(spikes.read(path), "", tmp_path / "spikes")
    assert spikes._short("y" * 100) == f"...{'y' * 37}"
    assert "\n" not in spikes._short("a\nb")


def test_a_file_of_something_else_is_one_line(tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    good = write_dynamics(tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"other\.csv is no file of a Recorder or Spikes"):
        draw_all([good, other], tmp_path / "out")
    with pytest.raises(InputError, match=r"none\.csv"):
        draw_all([tmp_path / "none.csv"], tmp_path / "out")


def test_the_command_takes_files_and_makes_the_page(tmp_path, capsys):
    path = write_dynamics(tmp_path / "a.csv", threshold=1.5)
    command.run([str(path), f"output={tmp_path / 'out'}"])
    assert "figure1.png" in capsys.readouterr().out
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.index("Figure 1") < page.index("Step sizes") < page.index("Thresholds")
    assert '<img src="figure1.png"' in page
    assert '<a href="thresholds.pdf">' in page


def test_every_kind_of_picture_has_its_place_on_the_page(tmp_path):
    for name in ("table1_a_b.md", "training_dynamics_x.gif", "results.md", "odd <name>.png"):
        (tmp_path / name).touch()
    (tmp_path / "clipped_<b>.png").touch()
    page = index.write(tmp_path).read_text()
    assert "clipped_&lt;b&gt;.png" in page
    assert "odd" not in page  # nobody knows what it is
    assert index.write(tmp_path / "nowhere") is None
