"""Groups, their means and intervals, and what is said of attributes that say nothing."""

import numpy as np
import pytest
from pandas import DataFrame, MultiIndex

from autoclip_sep.errors import InputError
from autoclip_sep.figures.scores import breakdown_picture
from autoclip_sep.figures.scores.breakdown import as_markdown, break_down
from autoclip_sep.figures.scores.groupings import of_sources

COUNT = 40
NAMES = [f"m{n:02d}" for n in range(COUNT)]


def scores(values, sources=("1", "2"), seeds=1):
    """(items, sources) as a table of so many equal seeds."""
    values = np.asarray(values, float)
    rows = MultiIndex.from_product([NAMES[: len(values)], sources], names=["item", "source"])
    return DataFrame({str(seed): values.ravel() for seed in range(seeds)}, rows)


def items(**columns):
    return DataFrame(columns, NAMES).rename_axis("item")


def groups(found, attribute):
    rows = found.groups[found.groups["attribute"] == attribute]
    return {row["group"]: row for row in rows.to_dict("records")}


def test_numbers_are_cut_at_their_quartiles():
    seconds = np.arange(1.0, COUNT + 1)
    found = break_down(scores(np.stack([seconds, seconds], 1)), items(seconds=seconds))
    bins = groups(found, "length [s]")
    assert list(bins) == ["1 .. 10.8", "10.8 .. 20.5", "20.5 .. 30.2", "30.2 .. 40"]
    assert [row["mean"] for row in bins.values()] == [5.5, 15.5, 25.5, 35.5]
    assert all(row["items"] == 10 and row["sources"] == 20 for row in bins.values())
    assert all(row["low"] < row["mean"] < row["high"] for row in bins.values())
    assert found.mean == 20.5
    assert found.worst.index.tolist() == NAMES[:10]
    assert found.worst.iloc[0].to_dict() == {"score": 1.0, "length [s]": 1.0}


def test_bounds_have_as_many_digits_as_tell_the_bins_apart():
    seconds = 30 + np.arange(COUNT) / 10_000  # three digits would call all of them 30 .. 30
    found = break_down(scores(np.ones((COUNT, 2))), items(seconds=seconds))
    assert list(groups(found, "length [s]")) == [
        "30 .. 30.001", "30.001 .. 30.002", "30.002 .. 30.003", "30.003 .. 30.004",
    ]  # fmt: skip


def test_genders_speakers_and_levels_are_of_the_source_that_is_scored():
    values = np.tile([[1.0, 2.0], [3.0, 5.0]], (COUNT // 2, 1))
    known = items(
        **{"1_level": [3.0, -3.0] * 20, "2_level": [-3.0, 3.0] * 20},
        speakers=["a + b", "c + b"] * 20, genders=["f + m", "m + m"] * 20,
    )  # fmt: skip
    found = break_down(scores(values), known)
    means = {name: row["mean"] for name, row in groups(found, "genders").items()}
    assert means == {"different (f + m)": 1.5, "same (m + m)": 4.0}
    means = {name: row["mean"] for name, row in groups(found, "gender of the source").items()}
    assert means == {"f": 1.0, "m": pytest.approx((2 + 3 + 5) / 3)}  # over sources, not mixtures
    speakers = groups(found, "speaker")
    assert {name: row["mean"] for name, row in speakers.items()} == {"a": 1.0, "c": 3.0, "b": 3.5}
    assert {name: row["items"] for name, row in speakers.items()} == {"a": 20, "c": 20, "b": 40}
    assert set(groups(found, "speakers")) == {"a + b", "b + c"}
    own = of_sources(scores(values).index, known)["level of the source over the rest [dB]"]
    assert own.iloc[:4].tolist() == [3.0, -3.0, -3.0, 3.0]


def test_seeds_widen_and_silence_is_left_out_and_counted():
    rng = np.random.default_rng(0)
    table = scores(rng.normal(size=(COUNT, 2)), seeds=3)
    table["1"] += 1
    table.iloc[5, 2] = np.nan
    found = break_down(table, items(seconds=np.arange(COUNT) + 1.0))
    assert found.notes == ["1 sources are left out: they have no finite score"]
    assert found.groups["sources"].sum() == 2 * COUNT - 1
    assert (found.groups["high"] - found.groups["low"] > 1).all()


def test_every_number_of_the_tables_has_its_unit():
    known = items(seconds=np.arange(COUNT) + 1.0, overlap=[0.5] * COUNT,
                  level_difference=[3.0] * COUNT, snr=[9.0] * COUNT, **{"1_level": [3.0] * COUNT,
                  "2_level": [-3.0] * COUNT})  # fmt: skip
    text = as_markdown(break_down(scores(np.ones((COUNT, 2))), known), "si_sdr [dB]")
    assert "| length [s] | items | si_sdr [dB] | 95 % interval |" in text
    assert (
        "| item | si_sdr [dB] | length [s] | overlap [%] | level difference of the sources [dB] |"
        " sources over noise [dB] | level of 1 over the rest [dB] | level of 2 over the rest [dB] |"
    ) in text
    assert "| m00 | 1 | 1 | 50 | 3 | 9 | 3 | -3 |" in text


def test_music_is_grouped_by_source_and_track():
    values = np.tile([[1.0, 2.0]], (6, 1)) + np.arange(6)[:, None]
    known = items(seconds=[10.0] * COUNT, vocals_level=[0.0] * COUNT, drums_level=[0.0] * COUNT)
    found = break_down(scores(values, ("vocals", "drums")), known)
    assert {name: row["mean"] for name, row in groups(found, "source").items()} == {
        "vocals": 3.5, "drums": 4.5,
    }  # fmt: skip
    tracks = groups(found, "track")
    assert list(tracks) == NAMES[:6]
    assert np.isnan(tracks["m00"]["low"])  # of one item nothing follows for others
    assert "length [s]: all the same, or too few items" in found.notes


def test_of_many_groups_the_lowest_and_highest_are_kept():
    names = [f"s{n:02d}" for n in range(COUNT)]
    found = break_down(scores(np.arange(COUNT)[:, None], ("x",)),
                       items(speakers=names, x_level=[0.0] * COUNT))  # fmt: skip
    assert list(groups(found, "speaker")) == names[:10] + names[-10:]


def test_names_of_strangers_are_escaped_and_drawn(tmp_path):
    names = ["a|b", "<b>$x_1^", "\x1b[31mred", "long" * 20] * 10
    known = items(seconds=np.arange(COUNT) + 1.0, speakers=names, **{"1_level": [0.0] * COUNT})
    found = break_down(scores(np.arange(COUNT)[:, None], ("1",)), known)
    text = as_markdown(found, "si_sdr")
    assert r"a\|b" in text
    assert "\x1b" not in text
    path = breakdown_picture.draw(
        found, "si_sdr", "$\\frac{$", ["a $^$ note"], tmp_path / "breakdown"
    )
    assert path.read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_broken_down():
    table = scores(np.ones((COUNT, 2)))
    with pytest.raises(InputError, match="1 scored items aren't among the items: m00"):
        break_down(table, items(seconds=[1.0] * COUNT).iloc[1:])
    with pytest.raises(InputError, match="no item has a finite score"):
        break_down(table * np.nan, items(seconds=[1.0] * COUNT))
    found = break_down(table, items(seconds=[1.0] * COUNT))
    with pytest.raises(InputError, match="nothing to draw"):
        breakdown_picture.draw(found, "x", "x", [], None)
