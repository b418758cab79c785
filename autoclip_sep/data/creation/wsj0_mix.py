"""From the LDC's discs and the published lists to checked WSJ0-mix trees.

Refused before the first file is written: lists that are cut short, utterances that are missing,
that are there twice with different samples, or that can't be read. A finished split is in its
tree's manifest; anything else is resumed.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from autoclip_sep.data import _discovery as discovery
from autoclip_sep.data import _refusal as refusal
from autoclip_sep.data.creation import _wsj0_discs as wsj0_discs
from autoclip_sep.data.creation import _wsj0_manifest as manifest
from autoclip_sep.data.creation import mixing
from autoclip_sep.data.creation.mixing import Mixture, Mode
from autoclip_sep.data.creation.mixing_lists import Recipe, read_list
from autoclip_sep.data.creation.shards import Shard
from autoclip_sep.errors import InputError
from autoclip_sep.locks import exclusive
from autoclip_sep.parallel import in_parallel, release

COUNTS = {"tr": 20000, "cv": 5000, "tt": 3000}  # mixtures of the published lists, 2 and 3 speakers
FULL_SCALE = 1.0  # the scripts' meter counts its bins from here
LOCK = ".making"


@dataclass(frozen=True)
class Order:
    """What to make: all combinations of speakers, rates (Hz) and modes.

    wsj0: the discs. lists: the folder of `mix_{2,3}_spk_{tr,cv,tt}.txt`. partial: lists may be
    shorter than the published ones. jobs: processes, None is one per core. shard: which mixtures.
    """

    wsj0: Path
    lists: Path
    out: Path
    speakers: Sequence[int] = (2, 3)
    rates: Sequence[int] = (8000,)
    modes: Sequence[Mode] = ("min",)
    splits: Sequence[str] = tuple(COUNTS)
    partial: bool = False
    jobs: int | None = None
    progress: bool = True
    shard: Shard = mixing.ALL


@dataclass(frozen=True)
class Part:
    """One split of one tree. digest: sha256 of its list's file."""

    tree: Path
    split: str
    settings: Mapping[str, Any]
    recipes: Sequence[Recipe]
    digest: str

    @property
    def folder(self) -> Path:
        """That holds mix, s1, s2."""
        return self.tree / self.split

    def mixtures(self, files: Mapping[str, str]) -> Iterator[Mixture]:
        """What is to be made. files: by the utterance's name in the lists."""
        for recipe in self.recipes:
            utterances = tuple(files[utterance] for utterance in recipe.utterances)
            yield Mixture(recipe, utterances, str(self.folder), self.settings["mode"])


def parts(order: Order) -> list[Part]:
    """All splits of all trees of an order.

    Raises InputError for lists that are missing, can't be read, or aren't as long as published.
    """
    lists = {}
    for speakers, split in product(order.speakers, order.splits):
        path = order.lists / f"mix_{speakers}_spk_{split}.txt"
        recipes = _published(path, speakers, None if order.partial else COUNTS[split])
        lists[speakers, split] = recipes, hashlib.sha256(path.read_bytes()).hexdigest()
    found = []
    for speakers, rate, mode in product(order.speakers, order.rates, order.modes):
        tree = mixing.tree(order.out, speakers, rate, mode)
        settings = {"speakers": speakers, "sample_rate": rate, "mode": mode}
        for split in order.splits:
            found.append(Part(tree, split, settings, *lists[speakers, split]))
    return found


def prepare(order: Order) -> tuple[list[Part], bool]:
    """Make what is not there yet; the parts, and whether there was anything to make.

    No parts where other shards have still to make some of their mixtures.

    Raises InputError for what is refused (see above), and for trees of other lists or of unknown
    origin.
    """
    ordered = parts(order)
    unfinished = _unfinished(ordered)
    if not unfinished:
        return ordered, False
    utterances = {u for part in unfinished for recipe in part.recipes for u in recipe.utterances}
    files = wsj0_discs.locate(
        order.wsj0, sorted(utterances), order.out, jobs=order.jobs, progress=order.progress
    )
    if not order.shard.is_all:
        with exclusive(order.out / LOCK, shared=True):
            _make(order, _unfinished(unfinished), files)
            release()
        mixtures = (mixture for part in unfinished for mixture in part.mixtures(files))
        if not all(mixing.are_there(mixture.files()) for mixture in mixtures):
            return [], True
    with exclusive(order.out / LOCK):
        unfinished = _unfinished(unfinished)  # another process may have made them
        for part in unfinished:
            _sweep(part)
        _make(replace(order, shard=mixing.ALL), unfinished, files)
        _finish(order, unfinished)
        release()
    return ordered, True


def verify(order: Order, made: Sequence[Part]) -> int:
    """Read all files again and compare them with the manifests; how many there are.

    Raises InputError if some differ.
    """
    expected = {
        f"{part.folder}/{name}": (size, digest)
        for part in made
        for name, (size, digest) in _splits(part)[part.split]["files"].items()
    }
    found = in_parallel(
        manifest.measure, list(expected), label="verify", jobs=order.jobs,
        progress=order.progress,
    )  # fmt: skip
    wrong = [path for path, value in zip(expected, found, strict=True) if value != expected[path]]
    what = f"of {len(expected)} files differ from the manifest; delete them and run again"
    refusal.refuse(wrong, what, order.out)
    return len(expected)


def _published(path: Path, speakers: int, count: int | None) -> list[Recipe]:
    if not path.is_file():
        raise InputError(
            f"{path}: not there; lists= must be the folder of the lists published with the corpus"
            f" (create-speaker-mixtures.zip at merl.com/demos/deep-clustering); found:"
            f" {discovery.contents(path.parent)}"
        )
    recipes = read_list(path)
    if any(len(recipe.utterances) != speakers for recipe in recipes):
        raise InputError(f"{path}: has mixtures of other than {speakers} speakers")
    if count is not None and len(recipes) != count:
        raise InputError(
            f"{path}: {len(recipes)} mixtures, the published list has {count}; add partial=true to"
            " make a part of the corpus"
        )
    return recipes


def _splits(part: Part) -> dict[str, manifest.Split]:
    """The finished splits of its tree."""
    return manifest.read(part.tree, part.settings)


def _unfinished(ordered: Sequence[Part]) -> list[Part]:
    """The parts that are in no manifest, whose files are not all there, or that a kill cut off."""
    unfinished = []
    finished = {part.tree: _splits(part) for part in ordered}
    for part in ordered:
        known = finished[part.tree].get(part.split)
        if known and known["list_sha256"] != part.digest:
            raise InputError(
                f"{part.folder}: made from another mixing list; move it away, or name another out"
            )
        begun = (part.folder / manifest.BEGUN).exists()
        if not known or begun or manifest.sizes_differ(part.folder, known["files"]):
            unfinished.append(part)
    return unfinished


def _make(order: Order, unfinished: Sequence[Part], files: Mapping[str, str]) -> None:
    """Make the shard's mixtures, anew where their files aren't as the manifest says."""
    for part in unfinished:
        if part.split not in _splits(part):
            manifest.begin(part.folder, part.digest)
    for rate in order.rates:
        parts = [part for part in unfinished if part.settings["sample_rate"] == rate]
        mixtures = order.shard.of([mixture for part in parts for mixture in part.mixtures(files)])
        own = {file for mixture in mixtures for file in mixture.files()}
        for part in parts:
            known = _splits(part).get(part.split, {"files": {}})
            for name in manifest.sizes_differ(part.folder, known["files"]):
                if f"{part.folder}/{name}" in own:
                    (part.folder / name).unlink(missing_ok=True)
        mixing.make(
            mixtures, order.out, rate, full_scale=FULL_SCALE, jobs=order.jobs,
            progress=order.progress, shard=order.shard,
        )  # fmt: skip


def _finish(order: Order, unfinished: Sequence[Part]) -> None:
    """Check the parts against their lists, and write the manifests."""
    measure = partial(in_parallel, manifest.measure, jobs=order.jobs, progress=order.progress)
    for part in unfinished:
        _sweep(part)
        names = _names(part, order.out)
        sizes = measure([f"{part.folder}/{name}" for name in names], label="checksums")
        now = {name: list(value) for name, value in zip(names, sizes, strict=True)}
        splits = _splits(part)
        before = splits.get(part.split, {}).get("files", now)
        changed = [name for name in names if before.get(name) != now[name]]
        what = (
            f"of {len(names)} files in {part.folder} differ from before: other utterances, or other"
            " versions; move the folder away and run again"
        )
        refusal.refuse(changed, what, order.out)
        splits[part.split] = manifest.finished(part.digest, len(part.recipes), now)
        manifest.write(part.tree, part.settings, splits)
        (part.folder / manifest.BEGUN).unlink(missing_ok=True)


def _sweep(part: Part) -> None:
    own = (f"{part.split}/*/.*.tmp", f"{part.split}/.{manifest.BEGUN}.*", f".{manifest.NAME}.*")
    mixing.sweep(part.tree, *own)


def _names(part: Part, report: Path) -> list[str]:
    """The files of a part below its folder. Raises InputError for others than the list's."""
    prefix = f"{part.folder}/"
    unknown = {utterance: "" for recipe in part.recipes for utterance in recipe.utterances}
    files = (file for mixture in part.mixtures(unknown) for file in mixture.files())
    expected = {file.removeprefix(prefix) for file in files}
    found = {str(path).removeprefix(prefix) for path in part.folder.glob("*/*.wav")}
    more = sorted(found - expected)
    refusal.refuse(more, f"files in {part.folder} are not of the list", report)
    missing = sorted(expected - found)
    refusal.refuse(missing, f"files of the list are not in {part.folder}", report)
    return sorted(expected)
