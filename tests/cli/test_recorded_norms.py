import io
import math
from collections import OrderedDict

import pytest
import torch

from autoclip_sep.cli.recorded_norms import read
from autoclip_sep.clipping import ALRC, AutoClip, Combined, NoClipping
from autoclip_sep.dynamics import COLUMNS
from autoclip_sep.errors import InputError
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.runs.records import Records
from tests.small_files import Asks, compressed

ROW = dict.fromkeys(COLUMNS, 0.5)


def trained(clipper, steps=7, bad=()):
    """A clipper that has seen gradients of norm 1, 2, 3, ..."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    for step in range(1, steps + 1):
        parameter.grad = torch.tensor([math.nan if step in bad else float(step)])
        clipper.clip_gradients([parameter])
    return clipper


def make_run(folder, clipper=None, rows=3):
    if clipper is not None:
        state = {"model": {"weight": torch.ones(2)}, "clipper": clipper.state_dict()}
        CheckpointFolder(folder / "checkpoints").save("last", 7, 1, state)
    file = Records(folder / "dynamics.csv", COLUMNS)
    for n in range(rows):
        file.append({**ROW, "step": 20 * (n + 1), "grad_norm": math.nan if n == 1 else n + 0.25})
    file.close()
    return str(folder)


def write(folder, text):
    path = folder / "norms.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def saved(folder, content):
    path = folder / "state.pt"
    torch.save(content, path)
    return str(path)


@pytest.mark.parametrize("clipper", [AutoClip(None), AutoClip(10), Combined(ALRC(), AutoClip())])
def test_a_run_gives_the_whole_history_of_its_checkpoint(tmp_path, clipper):
    found = read(make_run(tmp_path, trained(clipper, bad=(3,))))
    assert found.norms == [1, 2, 4, 5, 6, 7]
    assert found.steps == [1, 2, 3, 4, 5, 6]
    assert (found.skipped, found.which) == (1, "of every step")
    assert found.source == f"{tmp_path}/checkpoints/last-000000007-00001.pt"


@pytest.mark.parametrize(
    "clipper", [None, NoClipping(), AutoClip(window=3), AutoClip(scope="parameter")]
)
def test_a_run_without_a_whole_history_gives_its_records(tmp_path, clipper):
    if clipper is not None:
        trained(clipper)
    found = read(make_run(tmp_path, clipper))
    assert found.norms[::2] == [0.25, 2.25]
    assert math.isnan(found.norms[1])
    assert found.steps == [20, 40, 60]
    assert (found.skipped, found.which) == (1, "of every 20th step")
    assert found.source.endswith("dynamics.csv")


def test_the_latest_norms_of_a_run_are_better_than_none(tmp_path):
    run = make_run(tmp_path, trained(AutoClip(window=3)))
    (tmp_path / "dynamics.csv").unlink()
    assert read(run).norms == [5, 6, 7]


def test_a_half_written_row_of_a_run_is_left_out(tmp_path):
    run = make_run(tmp_path)
    with (tmp_path / "dynamics.csv").open("a") as file:
        file.write("80,1,0.5,0.0")
    assert read(run).steps == [20, 40, 60]


def test_a_damaged_checkpoint_is_named_and_the_one_before_taken(tmp_path, capsys):
    run = make_run(tmp_path, trained(AutoClip()))
    folder = CheckpointFolder(tmp_path / "checkpoints")
    newest = folder.save("last", 9, 1, {"clipper": trained(AutoClip(), 9).state_dict()})
    newest.write_bytes(newest.read_bytes()[:-1])
    assert len(read(run).norms) == 7
    assert "last-000000009-00001.pt is damaged" in capsys.readouterr().err
    with pytest.raises(InputError, match="is damaged"):
        read(str(newest))


def test_a_window_by_itself_is_the_latest_of_all(tmp_path):
    found = read(saved(tmp_path, trained(AutoClip(window=3), bad=(2,)).state_dict()))
    assert found.norms == [5, 6, 7]
    assert found.steps == [4, 5, 6]
    assert (found.skipped, found.which) == (1, "the latest of 6")


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda s: s,
        lambda s: {"a": {"b": s}, "c": [1]},
        lambda s: {"callbacks": {"GradientClipping": {"clippers": [s]}}},
        lambda s: [{"a": (s,)}],
    ],
)
def test_a_state_is_found_wherever_it_is_kept(tmp_path, wrapped):
    found = read(saved(tmp_path, wrapped(trained(AutoClip()).state_dict())))
    assert found.norms == [1, 2, 3, 4, 5, 6, 7]


def test_a_row_of_numbers_by_itself(tmp_path):
    found = read(saved(tmp_path, torch.tensor([0.5, math.nan, 2.0])))
    assert found.norms[::2] == [0.5, 2.0]
    assert found.skipped == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"weight": torch.ones(2)}}, "no clipper's history"),
        ({"a": {"history": torch.ones(2)}, "b": {"history": torch.ones(2)}}, "a.history, b.hist"),
        ([{"history": torch.ones(2)}, {"history": torch.ones(2)}], "0.history, 1.history"),
        (AutoClip().state_dict(), "empty history"),
        (trained(AutoClip(scope="parameter")).state_dict(), "for each parameter"),
        (torch.tensor([1.0, -2.0]), "holds -2, which is below 0"),
        (io.StringIO("code"), "not a file of tensors and numbers"),
    ],
)
def test_a_file_without_one_history_is_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as error:
        read(saved(tmp_path, content))
    assert f"{tmp_path}/state.pt" in str(error.value)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("1\n2.5\n4e0\n", None),
        ("1\n2.5\n4", None),
        ("\ufeffgrad_norm,loss\r\n1,9\r\n\r\n2.5,9\r\n4,9\r\n", None),
        ("the norm\n1\n2.5\n4\n", None),
        ("# of my run\n1\n2.5\n4\n", None),
        ("loss,grad_norm\n9,1\n9,2.5\n9,4\n", None),
        ("loss;norm\n9;1\n9;2.5\n9;4\n", "norm"),
        ("9\t1\n9\t2.5\n9\t4\n", "2"),
        (" 9.0  1.0\n 9.0  2.5\n 9.0  4.0\n", "2"),
        ('"Step","run - grad, norm"\n"1","1"\n"2","2.5"\n"3","4"\n', "run - grad, norm"),
        (",norm\n0,1\n1,2.5\n2,4\n", "norm"),
    ],
)
def test_columns_of_text(tmp_path, text, column):
    found = read(write(tmp_path, text), column)
    assert found.norms == [1, 2.5, 4]
    assert found.steps == [1, 2, 3]
    assert (found.skipped, found.which) == (0, "")


def test_what_is_not_finite_is_counted_and_what_is_blank_is_left_out(tmp_path):
    found = read(write(tmp_path, 'norm\n1\nnan\ninf\n""\n2\n'))
    assert found.norms[::3] == [1, 2]
    assert not any(map(math.isfinite, found.norms[1:3]))
    assert (found.skipped, found.blank) == (2, 1)


def test_a_logger_that_leaves_cells_blank(tmp_path):
    """As Lightning's CSVLogger does, whose other metrics have rows of their own."""
    text = "norm,epoch,step,valid\n1.5,0,9,\n,0,9,0.3\n2.5,0,19,\n,1,19,0.2\n3.5,1,29,\n"
    found = read(write(tmp_path, text), "norm")
    assert found.norms == [1.5, 2.5, 3.5]
    assert found.steps == [9, 19, 29]
    assert (found.skipped, found.blank) == (0, 2)


@pytest.mark.parametrize(
    ("steps", "which"),
    [
        ((1, 2, 3), "of every step"),
        ((2, 4, 6), "of every 2nd step"),
        ((11, 22, 33), "of every 11th step"),
        ((21, 42, 63), "of every 21st step"),
        ((10, 20, 40), ""),
    ],
)
def test_a_column_of_steps_says_which_they_are(tmp_path, steps, which):
    text = "step,grad_norm\n" + "".join(f"{step},1\n" for step in steps)
    found = read(write(tmp_path, text))
    assert found.steps == list(steps)
    assert found.which == which


@pytest.mark.parametrize("steps", [(3, 2, 4), (1, 1, 2), (1, "x", 3), (1.5, 2.5, 3.5)])
def test_steps_that_do_not_rise_are_counted_instead(tmp_path, steps):
    text = "step,grad_norm\n" + "".join(f"{step},1\n" for step in steps)
    found = read(write(tmp_path, text))
    assert (found.steps, found.which) == ([1, 2, 3], "")


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        ("", None, "norms.txt is empty"),
        ("\n \n# nothing\n", None, "norms.txt is empty"),
        ("norm\n", None, "no number below the header 'norm'"),
        ("nan\ninf\n", None, "holds no number"),
        ("norm,a\n,1\n,2\n", "norm", "no number below the header 'norm'"),
        ("1\n" * 15 + "\n1,5x\n", None, "line 17: 2 columns, not 1"),
        ("3\n1,5\n2,5\n", None, "line 2: 2 columns, not 1 as before"),
        ("n\n" + "1\n" * 15 + "a lot\n", None, "line 17: 'a lot' is no number"),
        ("1\n# note\n\n-3\n", None, "line 4: -3 is below 0"),
        ("a,b\n1,2\n3\n4,5\n", "b", "line 3: 1 columns, not 2 as before"),
        ("a,b\n1,2\n", None, "several columns: choose one with column=...; it has a, b"),
        ("a,b\n1,2\n", "c", "no column 'c': choose one with column=...; it has a, b"),
        ("1,2\n1,2\n", None, "several columns.* without a header: 1 to 2"),
        ('a,b\n1,2\n1,"2\n1,3\n', "b", "line 3: a quotation mark is never closed"),
        (b"\x80\x02}q\x00.", None, "neither UTF-8 text nor a file of torch.save"),
        (bytes(1000), None, "byte 0 is 0"),
        (b"PK\x03\x04 cut off", None, "not a file of tensors and numbers"),
        ("x" * 200_000 + "\n1\n", None, "line 1: field larger"),
    ],
)
def test_bad_files_are_named_with_the_line(tmp_path, content, column, message):
    with pytest.raises(InputError, match=message) as error:
        read(write(tmp_path, content), column)
    assert str(tmp_path / "norms.txt") in str(error.value)
    assert len(str(error.value)) < len(str(tmp_path)) + 250


@pytest.mark.parametrize("what", ["compressed", "bytes", "tensor"])
def test_a_small_file_asks_for_no_more_memory_than_it_has_bytes(tmp_path, what):
    state = {
        "compressed": {"history": torch.ones(2**20)},
        "bytes": {"history": Asks(bytearray, 2**34)},
        "tensor": {"history": Asks(torch.Tensor, 2**32)},
    }[what]
    path = tmp_path / "clipper.pt"
    torch.save(state, path)
    if what == "compressed":
        compressed(path)
    with pytest.raises(InputError, match="compressed" if what == "compressed" else "any size"):
        read(path)


@pytest.mark.parametrize(
    "history",
    [
        torch.ones(1).expand(2**60),
        torch.ones(1, dtype=torch.float64).expand(2**60),
        torch.ones(3, dtype=torch.complex64),
        [1.0, 10**400],
        [1.0, "2"],
        torch.ones(3).to_sparse(),
    ],
    ids=["expanded", "expanded float64", "complex", "beyond float64", "text", "sparse"],
)
def test_a_history_that_is_no_row_of_numbers_is_refused(tmp_path, history):
    with pytest.raises(InputError, match=r"state\.pt.* one row of float64 numbers"):
        read(saved(tmp_path, {"history": history}))


@pytest.mark.parametrize("count", [-5, 10**400, 2**62, None, "7"])
def test_a_count_of_steps_that_cant_be_one_counts_nothing(tmp_path, count):
    norms = read(saved(tmp_path, {"history": [1.0, 2.0], "steps": count, "skipped": count}))
    assert (norms.steps, norms.skipped, norms.which) == ([1, 2], 0, "of every step")


def test_what_lies_in_itself_many_times_is_looked_through_once(tmp_path):
    node = OrderedDict(history=[1.0])
    node.get = None  # an attribute, which a pickle keeps
    for _ in range(60):
        node = {"a": node, "b": [node, node]}
    with pytest.raises(InputError, match="no clipper's history"):
        read(saved(tmp_path, node))


def test_a_column_of_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="leave column= out"):
        read(saved(tmp_path, AutoClip().state_dict()), "grad_norm")


def test_paths_without_norms_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="holds no recorded norms"):
        read(str(tmp_path))
