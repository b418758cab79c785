"""Every clipping config builds the clipper its file is named after."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "autoclip_sep" / "configs" / "clipping"
LABELS = {
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
    "adagc": "adagc_1.05",
}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_config_builds(path):
    hydra_utils = pytest.importorskip("hydra.utils", reason="configs need hydra")
    omegaconf = pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.load(path)
    config.loss = {"signed": False}  # which the loss' own config tells ALRC
    omegaconf.OmegaConf.resolve(config)
    del config.loss
    clipper = hydra_utils.instantiate(config.get("clipping", config))
    assert clipper.label == LABELS[path.stem]


def test_every_clipper_has_a_config():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(LABELS)
