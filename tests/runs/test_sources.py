"""What a config says of its sources."""

import pytest

from autoclip_sep.runs import sources

OWN = "autoclip_sep.models.separator.Separator"
WITHIN_0_AND_1 = "truncated_phase_sensitive_mask"


@pytest.mark.parametrize(
    ("heads", "model", "bound"),
    [
        (["embedding"], OWN, "ideal_binary_mask"),
        (["masks"], OWN, WITHIN_0_AND_1),
        (["masks", "embedding"], OWN, WITHIN_0_AND_1),  # separates by its masks
        (["waveforms"], OWN, WITHIN_0_AND_1),
        (["waveforms"], "autoclip_sep.models.conv_tasnet.ConvTasNet", None),
        (["masks"], "mine.Net", WITHIN_0_AND_1),
    ],
)
def test_a_runs_bound_is_the_best_mask_of_its_kind(heads, model, bound):
    assert sources.bound({"loss": {"heads": heads}, "model": {"_target_": model}}) == bound
