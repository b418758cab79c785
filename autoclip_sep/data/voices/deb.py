"""Files of a Debian package, read without dpkg.

Format: deb(5), an ar archive whose member data.tar.* holds the files.
"""

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from autoclip_sep.errors import InputError

MAGIC = b"!<arch>\n"
HEADER = 60  # bytes before each member of an ar archive
LARGEST = 2**27  # bytes of one file; the largest wanted has 35 MB


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Path and content of each plain file whose path is wanted; links are left out.

    Raises InputError where the package can't be read, or a file is too large.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(_data(path)), mode="r:*") as archive:
            for member in archive:
                if not member.isfile() or not wanted(member.name):
                    continue
                if member.size > LARGEST:
                    raise InputError(f"{path}: {member.name} has {member.size} bytes")
                content = archive.extractfile(member)
                assert content is not None
                yield member.name, content.read()
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a whole Debian package ({error})") from error


def _data(path: Path) -> bytes:
    """The archive of the files; raises ValueError where there is none."""
    content = path.read_bytes()
    if not content.startswith(MAGIC):
        raise ValueError("not an ar archive")
    start = len(MAGIC)
    while start + HEADER <= len(content):
        name, size = content[start : start + 16], int(content[start + 48 : start + 58])
        start += HEADER
        if name.startswith(b"data.tar"):
            return content[start : start + size]
        start += size + size % 2
    raise ValueError("no data.tar in it")
