"""Figures of a loop of one's own: the CSV files of a Recorder, and the page of all."""

import math

import pytest

from autoclip_sep.cli.commands import figures as command
from autoclip_sep.dynamics import SPIKE_COLUMNS
from autoclip_sep.errors import InputError
from autoclip_sep.figures import index, own_records
from autoclip_sep.runs.records import Records


@pytest.fixture
def write(tmp_path, write_dynamics):
    """A function that writes a Recorder's file of twelve rows."""

    def write(name, threshold=math.inf, smoothness=1.0):
        norm = [1 + n % 3 for n in range(12)]
        return write_dynamics(
            tmp_path / name, every=1, grad_norm=norm, threshold=[threshold] * 12,
            smoothness=[smoothness * one for one in norm], step_norm=[1, 2] * 6,
        )  # fmt: skip

    return write


@pytest.fixture
def spikes(tmp_path):
    """A function that writes a file of Spikes with so many batches."""

    def write(name, count=1):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        file = Records(tmp_path / name, SPIKE_COLUMNS)
        for step in range(count):
            file.append({"step": step + 1, "epoch": 1, "grad_norm": 10.0, "median_norm": 2.0,
                         "item": "a", "loss": 1.0})  # fmt: skip
        return tmp_path / name

    return write


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def draw(paths, out):
    return own_records.draw_all(paths, out, command.OF_RECORDS)


def test_one_file_is_drawn(write, out):
    first, *others = draw([write("a.csv", threshold=1.5)], out)
    assert first == f"{out / 'figure1'}.png  r = 1.00 in a"
    assert others == [f"{out / stem}.png" for stem in ("thresholds", "step_sizes")]
    assert {path.name for path in out.iterdir()} == {
        f"{stem}.{suffix}" for stem in ("figure1", "thresholds", "step_sizes")
        for suffix in ("png", "pdf")
    }  # fmt: skip


def test_shares_are_of_the_recorded_steps(write, saved, out):
    draw([write("a.csv", threshold=1.5)], out)
    (panel,) = (axes for axes in saved[1].axes if axes.get_visible())
    assert panel.get_title() == "a, 66.7% clipped"


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["one/dynamics.csv", "two/dynamics.csv", "three/dynamics.csv"], ["one", "two", "three"]),
        (["one/a/x.csv", "two/a/x.csv"], ["one/a", "two/a"]),
        (["one/a.csv", "one/b.csv"], ["a", "b"]),
    ],
)
def test_files_are_named_by_what_tells_them_apart(write, saved, out, paths, names):
    line = draw([write(path) for path in paths], out)[0]
    assert line.endswith("r = " + ", ".join(f"1.00 in {name}" for name in names))


def test_what_a_file_lacks_is_reported_and_the_rest_is_drawn(write, out):
    first = draw([write("a.csv", smoothness=math.nan)], out)[0]
    assert first.startswith("not drawn: ")
    assert "0 rows with a smoothness" in first
    assert (out / "step_sizes.png").is_file()
    path = write("b.csv")
    path.write_text("step,loss\n1,2\n")
    assert all("b.csv has no column" in line for line in draw([path], out))


def test_runs_are_named_by_their_folders_beside_spikes_too(write, spikes, out):
    paths = [write("without/dynamics.csv"), write("with/dynamics.csv"), spikes("with/spikes.csv")]
    lines = draw(paths, out)
    assert lines[0].endswith("r = 1.00 in without, 1.00 in with")
    assert lines[-1] == f"{out / 'spikes'}.png  1 spike"
    assert "spikes.png" in index.write(out).read_text()


def test_a_run_without_spikes_is_drawn_all_the_same(write, spikes, saved, out):
    *drawn, last = draw([write("dynamics.csv"), spikes("spikes.csv", 0)], out)
    assert all(".png" in line for line in drawn)
    assert last.startswith("not drawn: ")


def test_what_cannot_be_drawn_together_is_one_line(write, tmp_path, out):
    with pytest.raises(InputError, match="5 files: at most 4 are drawn beside each other"):
        draw([write(f"{n}.csv") for n in range(5)], out)
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"other\.csv is no file of a Recorder or Spikes"):
        draw([write("a.csv"), other], out)
    with pytest.raises(InputError, match=r"none\.csv"):
        draw([tmp_path / "none.csv"], out)


def test_the_command_takes_files_and_makes_the_page(write, out, capsys):
    command.run([str(write("a.csv", threshold=1.5)), f"output={out}"])
    assert "figure1.png" in capsys.readouterr().out
    page = (out / "index.html").read_text()
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
