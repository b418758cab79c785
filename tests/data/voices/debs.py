"""Debian packages that the tests make: ar archives with a data.tar.xz."""

import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import soundfile


def deb(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    """A package with these files and symbolic links."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(f"./{name}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    members = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": data.getvalue()}
    content = b"!<arch>\n"
    for name, body in members.items():
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode()
        content += body + b"\n" * (len(body) % 2)
    path.write_bytes(content)
    return path


def sound(samples: np.ndarray, rate: int, form: str) -> bytes:
    """An audio file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form)
    return file.getvalue()


def queen(recordings: dict[str, bytes], talks: dict[str, int]) -> bytes:
    """The game's archive; talks: the number of each dialogue, NAME.DOG."""
    dialogues = {
        f"{name}.DOG": bytes(24) + struct.pack(">H", number) for name, number in talks.items()
    }
    files = {**dialogues, **recordings}
    table, body = b"", b""
    start = 15 + 21 * len(files)
    for name, content in files.items():
        table += struct.pack(">12sBII", name.encode(), 1, start + len(body), len(content))
        body += content
    return b"QTBLCEM10\0\0\0\x01" + struct.pack(">H", len(files)) + table + body
