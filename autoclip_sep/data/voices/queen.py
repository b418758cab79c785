"""The archive of Flight of the Amazon Queen: which character speaks each of its recordings.

Format (big-endian): at byte 13 the number of entries, then 21 bytes for each, name (12), bundle
(1), offset (4) and size (4). A dialogue NAME3.DOG has the number of its talk at byte 24; a
recording is called after it: 480006P1.SB is said by the character of talk 48, 480006J1.SB by Joe,
as is JOE0001.SB. Each recording is an MP3.
"""

import re
import struct
from collections.abc import Iterator

from autoclip_sep.errors import InputError

TABLE = 13  # bytes before it
ENTRY = struct.Struct(">12sBII")
TALK = 24  # where a dialogue's number lies
LINE = re.compile(r"(?P<talk>\d\d)\w*(?P<who>[JP])\w\.SB|(?P<joe>JOE)\w*\.SB")
NO_SPEECH = ("dog",)  # it barks
DIALOGUE = re.compile(r"(?P<name>[A-Z]+)\d*\.DOG")


def recordings(content: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Character in lower case, file name and content of each recording, by file name.

    Raises InputError where it isn't such an archive.
    """
    try:
        entries = sorted(_entries(content))
        characters = {}
        for name, offset, _ in entries:
            if match := DIALOGUE.fullmatch(name):
                (talk,) = struct.unpack_from(">H", content, offset + TALK)
                characters[talk] = match["name"].lower()
    except (struct.error, UnicodeDecodeError) as error:
        raise InputError(f"queen.1c: not the archive of the game ({error})") from error
    for name, offset, size in entries:
        match = LINE.fullmatch(name)
        if match is None:
            continue
        by_joe = match["joe"] or match["who"] == "J"
        character = "joe" if by_joe else characters.get(int(match["talk"]))
        if character is not None and character not in NO_SPEECH:
            yield character, name, content[offset : offset + size]


def _entries(content: bytes) -> Iterator[tuple[str, int, int]]:
    (count,) = struct.unpack_from(">H", content, TABLE)
    for number in range(count):
        place = TABLE + 2 + number * ENTRY.size
        name, _, offset, size = ENTRY.unpack_from(content, place)
        if offset + size > len(content):
            raise struct.error("an entry lies behind its end")
        yield name.split(b"\0")[0].decode("ascii"), offset, size
