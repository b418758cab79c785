"""Names that come from files and folders: how they are shown, and what they may lead to."""

import os
import unicodedata
from collections.abc import Sequence

from autoclip_sep.errors import InputError

CONTROL = {"Cc", "Cs", "Zl", "Zp"}  # control, no character, ends of lines and paragraphs
HIDDEN = CONTROL | {"Cf"}  # and what is in a text and isn't seen
FEW = 3


def shown(text: str) -> str:
    r"""Text as a terminal or a table can take it: `\x1b`, `\n`, `\xe9` for a byte that isn't UTF-8.

    What can be seen stays as it is, letters and spaces of all scripts included.
    """
    return "".join(_escaped(c) if unicodedata.category(c) in HIDDEN else c for c in text)


def some(names: Sequence[str], most: int = FEW) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more


def check_name(name: str, what: str) -> str:
    """The name, where it can be a file's or folder's own in whatever folder it is put.

    what: it names, for the message. Raises InputError for a name that leads elsewhere, is hidden,
    or has control characters in it.
    """
    if not name or name.startswith(".") or not all(map(_may_be_in_names, name)):
        raise InputError(f"{what}: '{shown(name)}' can't name a file or folder")
    return name


def path_below(path: str, what: str) -> str:
    """A path below some folder, as any machine may have written it, with / between its parts.

    Raises InputError where it leads out of that folder.
    """
    parts = path.replace("\\", "/")
    if os.path.isabs(parts) or ".." in parts.split("/") or "\0" in parts:
        raise InputError(f"{what}: '{shown(path)}' leads out of its folder")
    return parts


def _may_be_in_names(character: str) -> bool:
    """No separator and no control character; a byte that isn't UTF-8 is one of a name, too."""
    if _is_byte(character):
        return True
    return character not in "/\\" and unicodedata.category(character) not in CONTROL


def _is_byte(character: str) -> bool:
    """Whether it stands for a byte that isn't UTF-8, as Python's surrogateescape has it."""
    return "\udc80" <= character <= "\udcff"


def _escaped(character: str) -> str:
    if _is_byte(character):
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
