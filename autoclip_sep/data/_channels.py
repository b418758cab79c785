"""The channels of a corpus, which are those of its settings."""

from pathlib import Path

from autoclip_sep.audio import soundfiles
from autoclip_sep.errors import InputError


def check(path: str | Path, found: int, wanted: int) -> None:
    """Raises InputError where a file of the corpus has other channels than the settings say."""
    if found != wanted:
        raise InputError(f"{path}: channels: {found}, the settings say data.channels={wanted}")


def check_file(path: str | Path, wanted: int) -> None:
    """The same before the file is decoded.

    One that can't be read is passed over: conversion tells of it with all others that can't.
    """
    try:
        found = soundfiles.info(path).channels
    except InputError:
        return
    check(path, found, wanted)
