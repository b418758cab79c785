"""The packages that hold the voices: downloaded by apt-get or taken from a folder, and checked.

Each is pinned by its sha256, so that the corpus is the same bytes everywhere. A package of another
Debian release is refused by name rather than used.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from autoclip_sep.data.store.fingerprints import digest
from autoclip_sep.errors import InputError
from autoclip_sep.names import some

RELEASE = "Debian 12 (bookworm)"
NOT_SPEECH = re.compile(
    r"/silence/|/(beep\w*|(a|de)scending-2tone|tt-(monkeys|weasels|monkeysintro))\."
)


@dataclass(frozen=True)
class Package:
    """A package and whose voices its files hold.

    pattern: of the paths of recordings; its group `who` is looked up in `voices`, or, without such
    a group, all are of the one voice there is. tag: what tells its utterances from those of the
    same voice in other packages. plain: whether each recording is an audio file of its own.
    """

    name: str
    version: str
    sha256: str
    licence: str
    pattern: str
    voices: Mapping[str, str]
    tag: str = ""
    plain: bool = True
    leave_out: re.Pattern[str] | None = field(default=None, repr=False)

    def voice(self, path: str) -> str | None:
        """Whose recording a file is; None where it is none."""
        match = re.fullmatch(self.pattern, path)
        if match is None or (self.leave_out is not None and self.leave_out.search(path)):
            return None
        return self.voices.get(match.groupdict().get("who") or "")

    def file(self, folder: Path) -> Path | None:
        """The package in a folder, by its content; None where it isn't there."""
        found = sorted(folder.glob(f"{self.name}_*.deb"))
        return next((path for path in found if digest(path) == self.sha256), None)


def _fillets(language: str, sha256: str) -> Package:
    return Package(
        f"fillets-ng-data-{language}", "1.0.1-1.1", sha256, "GPL-2",
        r".*/sound/(?:[^/]*/)*(?:[^/]*-)?(?P<who>[mv])-[^/]*\.ogg",
        {"m": f"fillets-{language}-small", "v": f"fillets-{language}-big"},
    )  # fmt: skip


def _asterisk(language: str, voice: str, licence: str, sha256: str, tag: str = "") -> Package:
    return Package(
        f"asterisk-core-sounds-{language}-wav", "1.6.1-1", sha256, licence, r".*/sounds/.*\.wav",
        {"": voice}, tag, leave_out=NOT_SPEECH,
    )  # fmt: skip


def _drascula(package: str, language: str, sha256: str) -> Package:
    # F and S are sounds, no voices.
    characters = ("", "B", "BJ", "D", "E", "I", "L", "P", "T", "VB")
    return Package(
        package, "1.0+ds4-2", sha256, "Drascula's own (free)", r".*/(?P<who>[A-Z]*)\d+\.ALS",
        {name: f"drascula-{language}-{name.lower() or 'hero'}" for name in characters}, plain=False,
    )  # fmt: skip


TUXPAINT = ("be", "bg", "ca", "da", "el", "es", "fr", "ro", "ru")
PACKAGES = (
    _fillets("cs", "3ecef99b9456f1c80c9625c6f2418642b52d58e7167a46bad7a412db17991b14"),
    _fillets("nl", "afb4443fda9ab507dee578b75be857d121718a1cd6017a474f30e0eb13dc9d10"),
    # English and Spanish are one voice.
    _asterisk(
        "en", "asterisk-allison", "CC-BY-SA-3.0",
        "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d", "en",
    ),
    _asterisk(
        "es", "asterisk-allison", "CC-BY-SA-3.0",
        "9283a09a6d56fccdcc2bcfe86c48f0f844289cfbd46a3184d8785a6f7f569903", "es",
    ),
    _asterisk(
        "fr", "asterisk-june", "CC-BY-SA-3.0",
        "8d4e1bc32ed5ba7fbda40841ca1825ed20cc6232724a473c90f8bb0e53e6073e",
    ),
    _asterisk(
        "it", "asterisk-carlo", "CC-BY-3.0",
        "5a26638089e134b8ac39363fe249c5c93c50cd8bfdc9b2499ae61ec4a35e2fcb",
    ),
    _asterisk(
        "ru", "asterisk-ivrvoice", "CC-BY-3.0",
        "ccbfaebfa450b7a9ddf644ae0f3d1e9017d5df7c0aebe816e946345589d38201",
    ),
    Package(
        "asterisk-prompt-it-menardi-wav", "1:1.4.22+mm20110907-3.1",
        "3094530d98f8758ac275572d59624c41f60969fef883f34f4886d144f3dfeb21", "CC-BY-SA-3.0-IT",
        r".*/sounds/.*\.wav", {"": "asterisk-menardi"}, leave_out=NOT_SPEECH,
    ),
    Package(
        "asterisk-prompt-es-co", "0.20070403-2.1",
        "6702696e045514699e87dc8fb70f370717e5df91f821f7bec8dd0df1be008e83", "GPL-2",
        r".*/sounds/.*\.gsm", {"": "asterisk-july"}, leave_out=NOT_SPEECH,
    ),
    Package(
        "asterisk-prompt-fr-armelle", "20070613-2.2",
        "162570b1a9b3512a98f06b89f60c7c17cf1b9b52297315adca9a4e5be728bea3", "BSD-3-Clause-like",
        r".*/sounds/.*\.gsm", {"": "asterisk-armelle"}, leave_out=NOT_SPEECH,
    ),
    Package(
        "tuxpaint-stamps-default", "2022.06.04-1",
        "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34", "GPL-2",
        r".*_desc_(?P<who>[a-z]+)\.ogg", {name: f"tuxpaint-{name}" for name in TUXPAINT},
    ),
    _drascula(
        "drascula", "en", "ed4af8e2d41ad446e2f3b73533daa1804e2f13f62f596c0b02b8dc39544f22b4"
    ),
    _drascula(
        "drascula-spanish", "es", "87b5f12df3fcd7ca16097c802dff1ab55e40c9ebc21209fa3f031e1661b4b8e5"
    ),
    Package(
        "flight-of-the-amazon-queen", "1.0.0-9",
        "40c08fd258d6fe95c46c1eaf5e9137f84ba330657995a281bd887c94a560a0f1",
        "Flight of the Amazon Queen's own (free)", r".*/queen\.1c", {}, plain=False,
    ),
)  # fmt: skip


def collect(packages: Sequence[Package], given: str | None, folder: Path) -> list[Path]:
    """The packages' files: in `given`, or in `folder`, where those that are missing are downloaded.

    Raises InputError naming those that aren't there, or can't be downloaded.
    """
    if given is None:
        _download([one for one in packages if one.file(folder) is None], folder)
    place = folder if given is None else Path(given)
    found = [one.file(place) for one in packages]
    if None in found:
        missing = [_wanted(one) for one, file in zip(packages, found, strict=True) if file is None]
        raise InputError(
            f"{place}: {some(missing)} missing or another version; the .deb files of {RELEASE} are"
            " needed: data.root=FOLDER with them"
        )
    return [file for file in found if file is not None]


def _download(packages: Sequence[Package], folder: Path) -> None:
    """By apt-get, without root: each package is whole or absent, and found by the next call."""
    if not packages:
        return
    program = shutil.which("apt-get")
    if program is None:
        raise InputError(
            f"data=voices downloads {len(packages)} packages with apt-get, which isn't here; get"
            f" the .deb files of {RELEASE} elsewhere: data.root=FOLDER"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for package in tqdm(packages, "packages", leave=False, disable=None):
        done = subprocess.run(
            [program, "--quiet", "download", _wanted(package)], cwd=folder, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            raise InputError(
                f"apt-get can't download {_wanted(package)} ({[*said, 'no reason given'][0]}): on"
                f" {RELEASE} run `apt-get update`, elsewhere data.root=FOLDER with its .deb files"
            )


def _wanted(package: Package) -> str:
    return f"{package.name}={package.version}"
