"""Clusters that are known, and the promises about randomness and silence."""

import pytest
import torch
from torch.nn import functional

from autoclip_sep.masks import frame_major, from_frame_major
from autoclip_sep.separation.kmeans import ALPHA, cluster, kmeans

BINS, FRAMES = 9, 30


def clouds(sources: int, noise: float = 0.1, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit-norm embeddings (B, K, D) around one axis per source, and the axis of each (B, K)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(sources, (3, BINS * FRAMES), generator=generator)
    points = functional.one_hot(labels, 6).float()
    points = points + noise * torch.randn(points.shape, generator=generator)
    return functional.normalize(points, dim=-1), labels


def loud(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1 + torch.rand(3, BINS, FRAMES, generator=generator) + 0j


def same_partition(left: torch.Tensor, right: torch.Tensor) -> bool:
    return torch.equal(left[:, None] == left[None, :], right[:, None] == right[None, :])


@pytest.mark.parametrize("sources", [2, 3, 5])
def test_finds_clouds_apart(sources: int) -> None:
    points, labels = clouds(sources)
    masks = cluster(points, loud(), sources)
    assert masks.shape == (3, sources, BINS, FRAMES)
    assert masks.dtype == torch.float32
    assert torch.equal(masks.sum(dim=1), torch.ones(3, BINS, FRAMES))
    found = frame_major(masks).argmax(dim=-1)
    assert all(same_partition(found[b], labels[b]) for b in range(3))


def test_minimum_of_a_small_problem_is_found() -> None:
    """Against all 2^9 partitions."""
    points = torch.randn(1, 10, 2, generator=torch.Generator().manual_seed(3))
    weight = torch.rand(1, 10, generator=torch.Generator().manual_seed(4))

    def spread(labels: torch.Tensor) -> float:
        total = 0.0
        for s in range(2):
            mine, w = points[0, labels == s], weight[0, labels == s, None]
            if len(mine):
                centre = (w * mine).sum(dim=0) / w.sum()
                total += float((w * (mine - centre).square()).sum())
        return total

    best = min(spread(torch.tensor([code >> i & 1 for i in range(10)])) for code in range(2**9))
    assert spread(kmeans(points, weight, 2)[0][0, 1].long()) == pytest.approx(best, rel=1e-5)


def test_quiet_points_move_no_centre_but_are_assigned() -> None:
    points, labels = clouds(2)
    quiet = torch.rand(3, BINS * FRAMES, generator=torch.Generator().manual_seed(1)) < 0.5
    misled = points.clone()
    misled[quiet] = functional.normalize(torch.tensor([0.1, 0.2, 9.0, 9.0, 9.0, 9.0]), dim=0)
    magnitude = from_frame_major(torch.where(quiet, 10 ** (-41 / 20), 1.0), BINS) + 0j
    found = frame_major(cluster(misled, magnitude, 2)).argmax(dim=-1)
    for b in range(3):
        assert same_partition(found[b][~quiet[b]], labels[b][~quiet[b]])
        assert found[b][quiet[b]].unique().numel() == 1  # all of them the same vector
    all_loud = frame_major(cluster(misled, torch.ones_like(magnitude), 2)).argmax(dim=-1)
    assert not same_partition(all_loud[0][~quiet[0]], labels[0][~quiet[0]])


def test_depends_on_the_seed_argument_alone() -> None:
    points, _ = clouds(2, noise=3.0)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = cluster(points, loud(), 2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(cluster(points, loud(), 2), first)


def test_an_example_does_not_depend_on_its_batch() -> None:
    points, _ = clouds(2, noise=0.5)
    together = cluster(points, loud(), 2)
    for b in range(3):
        assert torch.equal(cluster(points[[b]], loud()[[b]], 2)[0], together[b])


@pytest.mark.parametrize("fill", [0.0, 1.0])
@pytest.mark.parametrize("soft", [False, True])
def test_points_that_are_all_alike_and_silence_are_no_error(fill: float, soft: bool) -> None:
    alike = torch.full((1, BINS * FRAMES, 4), 0.5)
    masks = cluster(alike, torch.full((1, BINS, FRAMES), fill) + 0j, 3, soft=soft)
    torch.testing.assert_close(masks.sum(dim=1), torch.ones(1, BINS, FRAMES))


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("soft", [False, True])
def test_fewer_distinct_points_than_clusters(frames: int, soft: bool) -> None:
    """Two vectors in three clusters: still two parts, and a third that is empty or shared."""
    labels = torch.arange(BINS * frames)[None] % 2
    points = functional.one_hot(labels, 4).float()
    masks = cluster(points, torch.ones(1, BINS, frames) + 0j, 3, soft=soft)
    torch.testing.assert_close(masks.sum(dim=1), torch.ones(1, BINS, frames))
    found = frame_major(masks)[0]
    assert same_partition(found.argmax(dim=-1), labels[0])
    one = cluster(points[:, :1], torch.ones(1, 1, 1) + 0j, 3, soft=soft)
    assert one.sum() == pytest.approx(1)


def test_a_quiet_point_is_no_centre_where_loud_ones_are_alike() -> None:
    points = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    _, centres = kmeans(points, torch.tensor([[1.0, 1.0, 0.0]]), 2)
    assert torch.equal(centres, points[:, :2])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("soft", [False, True])
def test_an_embedding_that_is_not_finite_gives_no_masks(value: float, soft: bool) -> None:
    """A one-hot mask of it would look like an estimate."""
    points, _ = clouds(2)
    expected = cluster(points, loud(), 2, soft=soft)
    points[1, 7, 3] = value
    masks = cluster(points, loud(), 2, soft=soft)
    assert masks[1].isnan().all()
    assert torch.equal(masks[[0, 2]], expected[[0, 2]])


def test_soft_masks_are_the_responsibilities_of_the_centres() -> None:
    """With two unit vectors at a right angle as centres: a logistic function of the distances."""
    axes = torch.eye(2)[:, None].expand(2, 40, 2).reshape(1, 80, 2)
    between = functional.normalize(torch.tensor([[[0.9, 0.3], [0.5, 0.5]]]), dim=-1)
    points = torch.cat([axes, between], dim=1)
    magnitude = torch.ones(1, 82)
    magnitude[:, 80:] = 1e-3  # moves no centre
    masks = cluster(points, from_frame_major(magnitude, 1) + 0j, 2, soft=True)
    first = int(masks[0, 1, 0, 0] > 0.5)  # the cluster of the first axis
    distance = (points[0, :, None] - torch.eye(2)).square().sum(dim=-1)
    expected = (ALPHA * (distance[:, 1] - distance[:, 0])).sigmoid()
    torch.testing.assert_close(masks[0, first, 0], expected)
    assert masks[0, 0, 0, 81] == pytest.approx(0.5)


@pytest.mark.parametrize("soft", [False, True])
def test_threads_and_order_change_nothing(soft: bool) -> None:
    points, _ = clouds(3, noise=1.0)
    expected = cluster(points, loud(), 3, soft=soft)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        threaded = cluster(points, loud(), 3, soft=soft)
    finally:
        torch.set_num_threads(before)
    again = cluster(points.flip(0), loud().flip(0), 3, soft=soft).flip(0)
    for found in (threaded, again):  # of soft masks to rounding, of hard ones to the bit
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 if soft else 0)


def test_bfloat16_embeddings_under_autocast() -> None:
    points, labels = clouds(2)
    with torch.autocast("cpu", torch.bfloat16):
        masks = cluster(points.bfloat16(), loud(), 2)
    assert masks.dtype == torch.float32
    assert same_partition(frame_major(masks)[0].argmax(dim=-1), labels[0])
