"""The weights of nussl's recurrent networks as those of `Separator`, and back.

Source: nussl 1.1.9, builders.build_recurrent_mask_inference, _dpcl and _chimera.
Differences that are mapped here: nussl's networks see decibels, ours ln |X|; its normalisation may
have one feature for all bins; the outputs of its mask layer are ordered by bin, then source, ours
by source, then bin. The STFTs are the same: both divide by the window's sum.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

Weights = dict[str, Tensor]

DECIBELS = 20 / math.log(10)  # of ln |X| = 1
EPSILON = 1e-5  # of our BatchNorm
RNN = "layers.recurrent_stack.rnn."
PARTS = [f"{kind}_{part}" for kind in ("weight", "bias") for part in ("ih", "hh")]


def from_nussl(
    given: Mapping[str, Tensor], *, bins: int, layers: int, sources: int | None, embedding: bool,
    norm: str | None, epsilon: float,
) -> Weights:  # fmt: skip
    """Our state dict. Raises KeyError for what is missing; what is unknown stays unread.

    sources: None without a mask layer. norm: the module's name in nussl's, with its running
    statistics; None without. epsilon: of the normalisation.
    """
    found: Weights = {}
    if norm is not None:
        mean, variance = (given[f"{norm}.running_{kind}"].expand(bins) for kind in ("mean", "var"))
        scale = given.get(f"{norm}.weight", torch.ones(1)).expand(bins)
        ratio = (variance / DECIBELS**2 + EPSILON).sqrt() / (variance + epsilon).sqrt()
        found["norm.weight"] = scale * DECIBELS * ratio
        found["norm.bias"] = given.get(f"{norm}.bias", torch.zeros(1)).expand(bins)
        found["norm.running_mean"] = mean / DECIBELS
        found["norm.running_var"] = variance / DECIBELS**2
        found["norm.num_batches_tracked"] = torch.tensor(0)
    for layer, part, end in _lstm(layers):
        found[f"blstm.layers.{layer}.{part}_l0{end}"] = given[f"{RNN}{part}_l{layer}{end}"]
    if norm is None:
        _scale_inputs(found, "blstm.layers.0.weight_ih_l0", DECIBELS)
    for part in ("weight", "bias"):
        if sources is not None:
            by_bin = given[f"layers.mask.linear.{part}"].unflatten(0, (bins, sources))
            found[f"mask_head.linear.{part}"] = by_bin.transpose(0, 1).flatten(0, 1)
        if embedding:
            found[f"embedding_head.linear.{part}"] = given[f"layers.embedding.linear.{part}"]
    return {key: value.contiguous() for key, value in found.items()}


def to_nussl(given: Mapping[str, Tensor], *, layers: int, sources: int | None) -> Weights:
    """The state dict of nussl's network with these of ours; sources: None without a mask layer."""
    found: Weights = {}
    for layer, part, end in _lstm(layers):
        found[f"{RNN}{part}_l{layer}{end}"] = given[f"blstm.layers.{layer}.{part}_l0{end}"]
    if "norm.weight" in given:
        norm, variance = "layers.normalization.batch_norm", given["norm.running_var"]
        ratio = (variance * DECIBELS**2 + EPSILON).sqrt() / (variance + EPSILON).sqrt()
        found[f"{norm}.weight"] = given["norm.weight"] / DECIBELS * ratio
        found[f"{norm}.bias"] = given["norm.bias"]
        found[f"{norm}.running_mean"] = given["norm.running_mean"] * DECIBELS
        found[f"{norm}.running_var"] = variance * DECIBELS**2
        found[f"{norm}.num_batches_tracked"] = given["norm.num_batches_tracked"]
    else:
        _scale_inputs(found, f"{RNN}weight_ih_l0", 1 / DECIBELS)
    for part in ("weight", "bias"):
        if sources is not None:
            by_source = given[f"mask_head.linear.{part}"].unflatten(0, (sources, -1))
            found[f"layers.mask.linear.{part}"] = by_source.transpose(0, 1).flatten(0, 1)
        if f"embedding_head.linear.{part}" in given:
            found[f"layers.embedding.linear.{part}"] = given[f"embedding_head.linear.{part}"]
    return found


def _lstm(layers: int) -> list[tuple[int, str, str]]:
    ends = ("", "_reverse")
    return [(layer, part, end) for layer in range(layers) for part in PARTS for end in ends]


def _scale_inputs(weights: Weights, key: str, factor: float) -> None:
    """The first layer's input weights, where no normalisation takes the scale."""
    for end in ("", "_reverse"):
        weights[key + end] = weights[key + end] * factor
