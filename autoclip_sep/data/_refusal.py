"""Many errors at once: the first few in one line, all of them in a file."""

import os
from collections.abc import Sequence
from pathlib import Path

from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.names import shown

SHOWN = 3
REPORT = "mixtures.refused.txt"  # a name that no other program gives: an old one is removed


def refuse(wrong: Sequence[str], what: str, folder: Path, name: str = REPORT) -> None:
    """Raise InputError if anything is wrong: "5 <what>: first; second; third; all 5 in <file>".

    The file is `name` in `folder`, written where the line can't show all; one of an earlier call is
    removed.
    """
    report = folder / name
    report.unlink(missing_ok=True)
    if not wrong:
        return
    lines = [shown(entry) for entry in wrong]
    line = f"{len(wrong)} {what}: {'; '.join(lines[:SHOWN])}"
    if len(wrong) > SHOWN:
        os.makedirs(folder, exist_ok=True)
        write_whole(report, "".join(f"{entry}\n" for entry in lines).encode())
        line += f"; all {len(wrong)} in {report}"
    raise InputError(line)
