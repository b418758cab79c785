"""Every clipper there is, by its label."""

import pytest

from autoclip_sep.clipping import (
    AGC,
    ALRC,
    AdaGC,
    AutoClip,
    Combined,
    LocalNormClipping,
    NoClipping,
    NormClipping,
    QuantileClipping,
    ValueClipping,
    ZClip,
)

GRADIENT_CLIPPERS = {
    "none": NoClipping,
    "norm_0.5": lambda: NormClipping(0.5),
    "value_0.1": lambda: ValueClipping(0.1),
    "local_norm_0.2": lambda: LocalNormClipping(0.2),
    "autoclip_p0": lambda: AutoClip(0),
    "autoclip_p10": AutoClip,
    "autoclip_p100": lambda: AutoClip(100),
    "autoclip_p10_window7": lambda: AutoClip(window=7),
    "autoclip_p10_warmup7": lambda: AutoClip(warmup=7),
    "autoclip_p10_parameter": lambda: AutoClip(scope="parameter"),
    "autoclip_p20_window7_warmup3_parameter": lambda: AutoClip(
        20, window=7, warmup=3, scope="parameter"
    ),
    "shadow": lambda: AutoClip(None),
    "agc_0.1": lambda: AGC(0.1),
    "zclip_z0.5": lambda: ZClip(0.5, warmup=4),
    "quantile_p20_rate0.5": lambda: QuantileClipping(20, rate=0.5),
    "adagc_1.05": lambda: AdaGC(warmup=5),
}
LOSS_CLIPPERS = {
    "alrc_n0.5": lambda: ALRC(0.5),
    "alrc_n0.5_autoclip_p10": lambda: Combined(ALRC(0.5), AutoClip()),
}
CLIPPERS = {**GRADIENT_CLIPPERS, **LOSS_CLIPPERS}


@pytest.fixture(params=CLIPPERS, ids=str)
def label(request):
    return request.param


@pytest.fixture
def make_clipper(label):
    return CLIPPERS[label]


@pytest.fixture
def clipper(make_clipper):
    return make_clipper()


@pytest.fixture(params=GRADIENT_CLIPPERS.values(), ids=GRADIENT_CLIPPERS)
def make_gradient_clipper(request):
    return request.param


@pytest.fixture(params=LOSS_CLIPPERS.values(), ids=LOSS_CLIPPERS)
def make_loss_clipper(request):
    return request.param
