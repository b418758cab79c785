"""Results are on the device of their arguments, whatever torch's default device; here meta."""

import torch

from autoclip_sep.evaluation.separation import _unknown
from autoclip_sep.metrics.bss_eval import bss_eval
from autoclip_sep.separation.kmeans import kmeans


def test_clustering_scores_and_batches():
    generator = torch.Generator().manual_seed(0)
    points, weight = torch.randn(1, 30, 3, generator=generator), torch.ones(1, 30)
    expected, _ = kmeans(points, weight, 2)
    silent = torch.zeros(2, 1, 4000)
    with torch.device("meta"):
        found, scores = kmeans(points, weight, 2)[0], bss_eval(silent, silent, 1000)
        batch = _unknown(silent[0][None])
    assert torch.equal(found, expected)
    assert all(score.isnan().all() for score in scores)
    assert batch.lengths.tolist() == [4000]
