"""The best, the median and the worst example, to see and to hear."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pandas import Series

from autoclip_sep.data.store.reading import Split, Store
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.system import System
from autoclip_sep.names import shown
from autoclip_sep.report import heard, spectrograms
from autoclip_sep.report.heard import Heard
from autoclip_sep.report.plots import signed
from autoclip_sep.report.section import Example, Part, Picture, Row, Section, Sound, Text
from autoclip_sep.report.sides import Reported, Side
from autoclip_sep.report.spikes import worth_hearing

SPIKES = 3  # recordings of spikes to hear


@dataclass(frozen=True)
class Material:
    """What sounds are made of. systems: the network of each side's first run. names: of sources."""

    store: Store
    systems: Sequence[System]
    names: Sequence[str]


def sections(reported: Reported, material: Material) -> tuple[Section, list[Sound]]:
    """The examples, and the recordings behind the highest spikes.

    Raises InputError where scores of single items are missing, or aren't of this corpus.
    """
    split, rate = material.store.split(reported.split), material.store.sample_rate
    reported.check_alike()
    chosen = _chosen(reported)
    items = [heard.hear(split, item, rate, material.systems) for _, item in chosen]
    spiky = _of_spikes(reported, material.store.split("train"), rate)
    fitting = heard.fitted([*items, *spiky])
    examples: list[Part] = [
        _example(title, item, reported, material.names)
        for (title, _), item in zip(chosen, map(heard.scaled, fitting), strict=False)
    ]
    sounds = []
    for item in map(heard.scaled, fitting[len(items) :]):
        loudest = float(spectrograms.levels(item.mixture, item.stft).max())
        sounds.append(_sound(shown(item.item), "", item.mixture, item, loudest))
    answer = _choice(reported)
    return Section(
        "Examples to hear", answer, [Text(_how(fitting[: len(items)])), *examples]
    ), sounds


def _choice(reported: Reported) -> str:
    if reported.compared:
        a, b = reported.sides
        seeds = " and ".join(dict.fromkeys(f"seed {s.first.config['seed']}" for s in (a, b)))
        return (
            f"The mixtures where {a.name} gains most over {b.text}, where the difference is the"
            f" median, and where it loses most ({seeds})."
        )
    return "The mixtures that improve most, as much as the median, and least."


def _chosen(reported: Reported) -> list[tuple[str, str]]:
    """Titles and items: the best, the median and the worst, each item once."""
    if reported.compared:
        a, b = (side.heard for side in reported.sides)
        ranked, titles = a - b, ("Largest gain", "Median difference", "Largest loss")
    else:
        ranked, titles = reported.sides[0].heard, ("Best", "Median", "Worst")
    ranked = ranked.dropna().sort_values(kind="stable")
    if ranked.empty:
        raise InputError("no item has a score")
    items = dict[str, str]()
    for title, place in zip(titles, (len(ranked) - 1, len(ranked) // 2, 0), strict=True):
        title = f"{title}: {signed(ranked.iloc[place], 'dB')}"
        items.setdefault(str(ranked.index[place]), title)
    return [(title, item) for item, title in items.items()]


def _of_spikes(reported: Reported, split: Split, rate: int) -> list[Heard]:
    names = [name for side in reported.sides for name in worth_hearing(side, SPIKES)]
    known = [name for name in dict.fromkeys(names) if name in split.items]
    return [heard.alone(heard.hear(split, name, rate, [])) for name in known[:SPIKES]]


def _how(items: Sequence[Heard]) -> str:
    """What was done to the sounds."""
    cut = any(item.mixture.shape[-1] < item.whole for item in items)
    seconds = max(item.seconds for item in items)
    part = f" Cut to the {seconds:.1f} s in which the sources are most active." if cut else ""
    own = any(mask is not None for item in items for mask in item.masks)
    masks = "the network's masks" if own else "each estimate's share of all estimates' magnitudes"
    return (
        "Numbers are SI-SDR improvements. All sounds of an example have the same gain, so that"
        " levels can be compared; none clips."
        f"{part} Spectrograms share one scale of {spectrograms.RANGE_DB:.0f} dB; below those of the"
        f" estimates: {masks}, white where they pass. Click a picture to play from there."
    )


def _example(title: str, item: Heard, reported: Reported, names: Sequence[str]) -> Example:
    loudest = float(spectrograms.levels(item.mixture, item.stft).max())
    titles = [f"source {name}" if name.isdecimal() else shown(name) for name in names]
    references = [
        _sound(f"Reference, {name}", "", signal, item, loudest)
        for name, signal in zip(titles, item.references, strict=True)
    ]
    rows = [Row([_sound("Mixture", "", item.mixture, item, loudest), *references])]
    for n, (side, estimates) in enumerate(zip(reported.sides, item.estimates, strict=False)):
        masks = item.masks[n]
        if masks is None:
            masks = _ratios(estimates, item)
        sounds = []
        for name, own, signal, mask in zip(names, titles, estimates, masks, strict=True):
            pictures = [spectrograms.mask(mask.double().numpy(), item.rate, item.seconds, own)]
            note = _scores(side, item.item, name)
            sounds.append(_sound(f"Estimate, {own}", note, signal, item, loudest, pictures, side))
        seed = f", seed {side.first.config['seed']}" if len(side.runs) > 1 else ""
        value = signed(float(side.heard.get(item.item, math.nan)), "dB")
        rows.append(Row(sounds, f"{side.name}{seed}", value))
    place = ""
    if item.mixture.shape[-1] < item.whole:
        place = f"From {item.start / item.rate:.1f} s on, of {item.whole / item.rate:.1f} s"
        place += ", mixed down to one channel." if len(item.mixture) == 1 else "."
    return Example(title, shown(item.item), place, rows)


def _scores(side: Side, item: str, source: str) -> str:
    """The improvement of one source, by the first run, which is the one that is heard."""
    first: Series = side.improvement.iloc[:, 0]
    value = float(first.get((item, source), math.nan))
    return "no score: silent" if math.isnan(value) else signed(value, "dB")


def _ratios(estimates: torch.Tensor, item: Heard) -> torch.Tensor:
    """Each estimate's share of their summed magnitudes: (S, F, N)."""
    magnitudes = item.stft.transform(estimates).abs().mean(dim=1)
    return magnitudes / magnitudes.sum(dim=0, keepdim=True).clamp_min(1e-12)


def _sound(
    title: str,
    note: str,
    signal: torch.Tensor,
    item: Heard,
    loudest: float,
    more: Sequence[Picture] = (),
    side: Side | None = None,
) -> Sound:
    grid = spectrograms.levels(signal, item.stft)
    of = title[0].lower() + title[1:] + (f", {note}" if note else "")
    seen = spectrograms.spectrogram(grid, loudest, item.rate, item.seconds, of)
    key = side.key if side else ""
    return Sound(title, [seen, *more], heard.uri(signal, item.rate), note, key)
