"""A clipper's label and repr tell its settings; two that clip differently never share a label."""

import inspect
import pydoc
from typing import get_type_hints

import pytest

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
    ValueClipping,
    ZClip,
)

CASES = [
    (AutoClip(), "autoclip_p10", "AutoClip(percentile=10.0)"),
    (AutoClip(25, window=100, warmup=5), "autoclip_p25_window100_warmup5",
     "AutoClip(percentile=25.0, window=100, warmup=5)"),
    (AutoClip(None, scope="parameter"), "shadow_parameter",
     "AutoClip(percentile=None, scope='parameter')"),
    (NormClipping(2), "norm_2", "NormClipping(threshold=2.0)"),
    (NormClipping(max_nonfinite=3), "norm_1_max_nonfinite3",
     "NormClipping(threshold=1.0, max_nonfinite=3)"),
    (LocalNormClipping(0.5), "local_norm_0.5", "LocalNormClipping(threshold=0.5)"),
    (ValueClipping(), "value_1", "ValueClipping(threshold=1.0)"),
    (NoClipping(), "none", "NoClipping()"),
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
def test_what_is_not_the_default_is_told(clipper, label, shown):
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


def test_a_long_list_is_told_by_six_digits():
    one, other = (AGC(exclude=[f"layers.{n}.weight" for n in range(last)]) for last in (20, 21))
    assert len(one.label) < 40
    assert one.label != other.label


def test_a_setting_that_is_not_kept_is_an_error():
    class Forgetful(ClipToMedian):
        def __init__(self, secret=1):
            super().__init__()

    with pytest.raises(AttributeError, match="secret"):
        Forgetful().label  # noqa: B018
