"""Mixing lists in the format of WSJ0-mix: one `path dB path dB [path dB]` per line."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.names import check_name, path_below, shown
from autoclip_sep.text import read_text


@dataclass(frozen=True)
class Recipe:
    """One line of a mixing list: utterance paths and their gains in dB, as written there."""

    utterances: tuple[str, ...]
    gains: tuple[str, ...]

    @cached_property
    def name(self) -> str:
        """`<utterance>_<dB>_<utterance>_<dB>`, the published file name without `.wav`."""
        stems = (os.path.splitext(os.path.basename(path))[0] for path in self.utterances)
        parts = zip(stems, self.gains, strict=True)
        return "_".join(f"{stem}_{float(gain):.5g}" for stem, gain in parts)


def read_list(path: str | os.PathLike[str]) -> list[Recipe]:
    """The mixtures of a list file.

    Raises InputError naming the line that can't be read or whose paths lead out of the corpus, or
    two lines of one file name.
    """
    recipes: dict[str, Recipe] = {}
    for number, line in enumerate(re.split(r"\r\n|\r|\n", read_text(path)), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 4 or len(fields) % 2 or not all(map(_is_number, fields[1::2])):
            raise InputError(f"{path}, line {number}: not 'path dB path dB [path dB]'")
        paths = [path_below(field, f"{path}, line {number}") for field in fields[::2]]
        if not all(map(os.path.basename, paths)):
            raise InputError(f"{path}, line {number}: a path that names no file")
        recipe = Recipe(tuple(paths), tuple(fields[1::2]))
        check_name(recipe.name, f"{path}, line {number}")
        if recipe.name in recipes:
            raise InputError(f"{path}, line {number}: a second mixture named {shown(recipe.name)}")
        recipes[recipe.name] = recipe
    if not recipes:
        raise InputError(f"{path}: the mixing list is empty")
    return list(recipes.values())


def write_list(path: str | os.PathLike[str], recipes: Sequence[Recipe]) -> None:
    """Write mixtures in the official list format, whole or not at all."""
    pairs = (zip(recipe.utterances, recipe.gains, strict=True) for recipe in recipes)
    lines = (" ".join(f"{path} {gain}" for path, gain in line) + " \n" for line in pairs)
    write_whole(Path(path), "".join(lines).encode(errors="surrogateescape"))


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
