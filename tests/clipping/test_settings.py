"""Settings are checked, and stand in label and repr: clippers that differ never share a label."""

import inspect
import math
import pydoc
from pathlib import Path
from typing import Literal, get_type_hints

import numpy as np
import pytest
import torch

from autoclip_sep.clipping import (
    AGC,
    ALRC,
    AdaGC,
    AutoClip,
    Clipper,
    Combined,
    LocalNormClipping,
    NoClipping,
    NormClipping,
    QuantileClipping,
    ValueClipping,
    ZClip,
)

CASES = [
    (AutoClip(), "autoclip_p10", "AutoClip(percentile=10.0)"),
    (AutoClip(25, window=100, warmup=5), "autoclip_p25_window100_warmup5",
     "AutoClip(percentile=25.0, window=100, warmup=5)"),
    (AutoClip(None, scope="parameter"), "shadow_parameter",
     "AutoClip(percentile=None, scope='parameter')"),
    (AutoClip(10), "autoclip_p10", "AutoClip(percentile=10.0)"),
    (AutoClip(2.5), "autoclip_p2.5", "AutoClip(percentile=2.5)"),
    (AutoClip(np.int64(90)), "autoclip_p90", "AutoClip(percentile=90.0)"),
    (NormClipping(2), "norm_2", "NormClipping(threshold=2.0)"),
    (NormClipping(max_nonfinite=3), "norm_1_max_nonfinite3",
     "NormClipping(threshold=1.0, max_nonfinite=3)"),
    (LocalNormClipping(1e-5), "local_norm_1e-05", "LocalNormClipping(threshold=1e-05)"),
    (ValueClipping(), "value_1", "ValueClipping(threshold=1.0)"),
    (NoClipping(), "none", "NoClipping()"),
    (QuantileClipping(5), "quantile_p5", "QuantileClipping(percentile=5.0)"),
    (ZClip(decay=0.9), "zclip_z2.5_decay0.9", "ZClip(z_threshold=2.5, decay=0.9)"),
    (AdaGC(absolute=2), "adagc_1.05_absolute2", "AdaGC(relative=1.05, absolute=2.0)"),
    (AGC(exclude=["head.", "mask"]), "agc_0.01_excludehead.-mask",
     "AGC(ratio=0.01, exclude=('head.', 'mask'))"),
    (AGC(transposed={"up.0": 2}), "agc_0.01_transposedup.02",
     "AGC(ratio=0.01, transposed={'up.0': 2})"),
    (ALRC(mean=1.0, mean_square=2.0), "alrc_n3_mean1_mean_square2",
     "ALRC(num_stddev=3.0, mean=1.0, mean_square=2.0)"),
    (ALRC(signed=True), "alrc_n3", "ALRC(num_stddev=3.0, signed=True)"),
    (Combined(ALRC(decay=0.9), AutoClip()), "alrc_n3_decay0.9_autoclip_p10",
     "Combined(loss=ALRC(num_stddev=3.0, decay=0.9), gradients=AutoClip(percentile=10.0))"),
]  # fmt: skip


@pytest.mark.parametrize(("clipper", "label", "shown"), CASES, ids=lambda case: str(case)[:40])
def test_settings_that_arent_the_default_are_shown(clipper, label, shown):
    assert clipper.label == label
    assert repr(clipper) == shown


class ClipToMedian(Clipper):
    """Of somebody else, who writes no label."""

    def __init__(self, factor=2.0, names=(), *, quiet=False, **options):
        super().__init__(**options)
        self.factor, self.names, self.quiet = factor, names, quiet

    def _clip(self, gradients, norm, norms):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("clipper", "label"),
    [
        (ClipToMedian(), "clip_to_median"),
        (ClipToMedian(3, quiet=True), "clip_to_median_factor3_quiet"),
        (ClipToMedian(max_nonfinite=3), "clip_to_median_max_nonfinite3"),
        (ClipToMedian(names=("a/b", "../c")), "clip_to_median_namesa-b-..-c"),
    ],
)
def test_a_clipper_without_a_label_of_its_own_has_one(clipper, label):
    assert clipper.label == label


def test_options_that_are_handed_up_are_spelled_out():
    class Quiet(ClipToMedian):
        def __init__(self, factor: float = 1.0, **options):
            super().__init__(factor, quiet=True, **options)

    for kind in (AutoClip, ClipToMedian, Quiet):
        own = inspect.signature(kind).parameters
        assert own["max_nonfinite"].default == 10
        assert not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values())
        assert get_type_hints(kind.__init__)["max_nonfinite"] is int
        with pytest.raises(TypeError, match="patience"):
            kind(patience=1)
    assert "max_nonfinite: int = 10" in pydoc.render_doc(AutoClip, renderer=pydoc.plaintext)
    assert get_type_hints(AutoClip.__init__)["scope"] == Literal["global", "parameter"]


def test_a_results_repr_shows_its_numbers():
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    assert repr(NormClipping(2.5).clip_gradients([weight])) == (
        "ClipResult(norm=tensor(5.), threshold=tensor(2.5000), scale=tensor(0.5000), "
        "clipped=tensor(True), finite=tensor(True))"
    )


def test_a_long_list_is_shown_by_six_digits():
    one, other = (AGC(exclude=[f"layers.{n}.weight" for n in range(last)]) for last in (20, 21))
    assert len(one.label) < 40
    assert one.label != other.label


def test_a_setting_that_is_not_kept_is_an_error():
    class Forgetful(ClipToMedian):
        def __init__(self, secret=1):
            super().__init__()

    with pytest.raises(AttributeError, match="secret"):
        Forgetful().label  # noqa: B018


POSITIVE = [0, -1, math.nan, math.inf, "1", True, None]
WRONG = {
    (NoClipping, "max_nonfinite"): [0, -1, 2.5, True, "10", None],
    (NormClipping, "threshold"): POSITIVE,
    (LocalNormClipping, "threshold"): POSITIVE,
    (ValueClipping, "threshold"): POSITIVE,
    (AutoClip, "percentile"): [
        -0.1, 100.5, math.nan, math.inf, "10", True, False, [10], torch.tensor(10.0)],
    (AutoClip, "window"): [0, 1.5],
    (AutoClip, "warmup"): [-1, None],
    (AutoClip, "scope"): ["layer", None],
    (AGC, "ratio"): [0],
    (AGC, "epsilon"): [0],
    (AGC, "exclude"): ["head"],
    (AGC, "transposed"): [{"up": 0}],
    (ZClip, "z_threshold"): [0],
    (ZClip, "decay"): [1.0, -1],
    (ZClip, "warmup"): [0, 2.5],
    (QuantileClipping, "percentile"): [0, 100],
    (QuantileClipping, "rate"): [0, math.inf],
    (QuantileClipping, "start"): [0, -1],
    (AdaGC, "relative"): [0.9],
    (AdaGC, "absolute"): [0],
    (AdaGC, "decay"): [1],
    (AdaGC, "warmup"): [-1],
    (ALRC, "num_stddev"): [0],
    (ALRC, "decay"): [1, -0.1],
    (ALRC, "signed"): ["false", 1],
    (ALRC, "epsilon"): [-1],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "value"), [(*key, value) for key, values in WRONG.items() for value in values]
)
def test_settings_are_checked(kind, name, value):
    with pytest.raises(ValueError, match=f"^{name} must be "):
        kind(**{name: value})


CONFIGS = {
    "none": "none",
    "norm": "norm_1",
    "value": "value_1",
    "local_norm": "local_norm_1",
    "autoclip": "autoclip_p10",
    "autoclip_window": "autoclip_p10_window1000",
    "shadow": "shadow",
    "alrc": "alrc_n3",
    "alrc_autoclip": "alrc_n3_autoclip_p10",
    "agc": "agc_0.01",
    "zclip": "zclip_z2.5",
    "quantile": "quantile_p10",
    "adagc": "adagc_1.05",
}
FOLDER = Path(__file__).parents[2] / "autoclip_sep" / "configs" / "clipping"


@pytest.mark.parametrize("name", sorted({*CONFIGS, *(path.stem for path in FOLDER.glob("*.yaml"))}))
def test_a_config_builds_the_clipper_that_it_is_named_after(name):
    hydra_utils = pytest.importorskip("hydra.utils", reason="configs need hydra")
    omegaconf = pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.load(FOLDER / f"{name}.yaml")
    config.loss = {"signed": False}  # which the loss' own config gives ALRC
    omegaconf.OmegaConf.resolve(config)
    del config.loss
    assert hydra_utils.instantiate(config.get("clipping", config)).label == CONFIGS[name]
