"""Names of files and folders: how they are printed, and whether they stay inside their folder."""

import os
import unicodedata
from collections.abc import Sequence

from autoclip_sep.errors import InputError

CONTROL = {"Cc", "Cs", "Zl", "Zp"}  # control, surrogates, line and paragraph separators
HIDDEN = CONTROL | {"Cf"}  # and invisible format characters
FEW = 3


def shown(text: str) -> str:
    r"""Text that is safe in a terminal or a table: `\x1b`, `\n`, `\xe9` for a byte not in UTF-8.

    Visible characters stay as they are, letters and spaces of all scripts included.
    """
    return "".join(_escaped(c) if unicodedata.category(c) in HIDDEN else c for c in text)


def some(names: Sequence[str], most: int = FEW) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more


def check_name(name: str, what: str) -> str:
    """The name, if it can be that of a file or folder inside any folder.

    what: the setting or column that holds it, for the message. Raises InputError for a name that
    leads elsewhere, is hidden, or has control characters.
    """
    if not name or name.startswith(".") or not all(map(_may_be_in_names, name)):
        raise InputError(f"{what}: '{shown(name)}' can't name a file or folder")
    return name


def path_below(path: str, what: str) -> str:
    """A relative path as any operating system may have written it, with / between its parts.

    Raises InputError for a path that leads out of its folder.
    """
    parts = path.replace("\\", "/")
    if os.path.isabs(parts) or ".." in parts.split("/") or "\0" in parts:
        raise InputError(f"{what}: '{shown(path)}' leads out of its folder")
    return parts


def _may_be_in_names(character: str) -> bool:
    """Neither a separator nor a control character; a byte that isn't UTF-8 is allowed."""
    if _is_byte(character):
        return True
    return character not in "/\\" and unicodedata.category(character) not in CONTROL


def _is_byte(character: str) -> bool:
    """Whether it stands for a byte that isn't UTF-8, by Python's surrogateescape."""
    return "\udc80" <= character <= "\udcff"


def _escaped(character: str) -> str:
    if _is_byte(character):
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
