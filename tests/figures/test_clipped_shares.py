import numpy as np
import pytest

from autoclip_sep.figures import clipping_methods
from autoclip_sep.figures.clippers import clipped_shares
from autoclip_sep.figures.clipping_methods import NO_CLIPPING
from autoclip_sep.figures.runs import find, frame


@pytest.mark.filterwarnings("error")
def test_shares_over_epochs_and_seeds(add_run, tmp_path):
    add_run("none")
    add_run("norm_0.1", seed=0, shares=[0.2, 0.4])
    add_run("norm_0.1", seed=1, shares=[0.6, 0.4])
    add_run("autoclip_p10", shares=[1.0, 0.9])
    runs = frame(find(tmp_path))
    norm = "Global norm, threshold = 0.1"
    epochs = clipped_shares.shares_by_epoch(runs).loc[norm]
    assert np.allclose(epochs, [[0.4, 0.2, 0.6], [0.4, 0.4, 0.4]])
    totals = clipped_shares.draw(runs, tmp_path / "out" / "clipped")
    assert totals.to_dict() == pytest.approx({"AutoClip, p = 10": 0.95, norm: 0.4})
    assert (tmp_path / "out" / "clipped.pdf").read_bytes().startswith(b"%PDF")


def test_shares_are_drawn_where_two_clippings_are(add_run, saved, tmp_path):
    found = [add_run("none"), add_run("autoclip_p10")]
    (line,) = clipped_shares.draw_all(frame(found), tmp_path)
    assert line.startswith("not drawn: ")
    found.append(add_run("alrc_n3", shares=[0.0, 0.25]))
    (line,) = clipped_shares.draw_all(frame(found), tmp_path)
    stem = tmp_path / "clipped_demo_mask_inference_blstm_demo"
    assert line == f"{stem}.png  AutoClip, p = 10 50.0%; ALRC, n = 3 12.5%"


def test_clippings_are_told_apart_by_family_and_setting_and_come_in_order(add_run):
    names = {
        "norm_10": "Global norm, threshold = 10", "norm_2": "Global norm, threshold = 2",
        "alrc_n3": "ALRC, n = 3", "shadow": NO_CLIPPING, "none": NO_CLIPPING,
        "autoclip_p0.5": "AutoClip, p = 0.5", "autoclip_p100": NO_CLIPPING,
    }  # fmt: skip
    strategies = frame([add_run(label) for label in names])["strategy"]
    assert strategies.tolist() == list(names.values())
    assert list(strategies.cat.categories) == [
        NO_CLIPPING, "AutoClip, p = 0.5", "ALRC, n = 3", "Global norm, threshold = 2",
        "Global norm, threshold = 10",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("clipping", "name"),
    [
        (
            {
                "_target_": "autoclip_sep.clipping.Combined",
                "loss": {"_target_": "autoclip_sep.clipping.ALRC", "num_stddev": 3},
                "gradients": {"_target_": "autoclip_sep.clipping.AutoClip", "percentile": 10},
            },
            "ALRC and AutoClip, p = 10, n = 3",
        ),
        ({"_target_": "autoclip_sep.clipping.AGC", "ratio": 0.01}, "AGC, ratio = 0.01"),
    ],
)
def test_every_clipper_has_a_name(clipping, name):
    assert clipping_methods.method(clipping, float("nan"), "label").name == name
