import hashlib
import re
from dataclasses import replace

import pytest

from autoclip_sep.data.voices import deb, packages, queen
from autoclip_sep.data.voices.packages import PACKAGES, Package
from autoclip_sep.errors import InputError
from tests.data.voices import debs

PATHS = {  # as in the packages
    "fillets-ng-data-cs": ("sound/city/cs/vit-m-hlava.ogg", "fillets-cs-small"),
    "fillets-ng-data-nl": ("sound/share/nl/v-chytra.ogg", "fillets-nl-big"),
    "asterisk-core-sounds-es-wav": ("sounds/es_MX_f_Allison/digits/7.wav", "asterisk-allison"),
    "asterisk-core-sounds-fr-wav": ("sounds/fr_CA_f_June/conf-enteringno.wav", "asterisk-june"),
    "asterisk-prompt-es-co": ("sounds/es/vm-toreply.gsm", "asterisk-july"),
    "tuxpaint-stamps-default": ("stamps/coins/001penny_desc_be.ogg", "tuxpaint-be"),
    "drascula": ("drascula/en/259.ALS", "drascula-en-hero"),
    "drascula-spanish": ("drascula/es/VB12.ALS", "drascula-es-vb"),
}
NONE = {
    "fillets-ng-data-cs": "sound/city/cs/vit-hs-klid1.ogg",
    "asterisk-core-sounds-es-wav": "sounds/es_MX_f_Allison/silence/2.wav",
    "asterisk-core-sounds-fr-wav": "sounds/fr_CA_f_June/beeperr.wav",
    "tuxpaint-stamps-default": "stamps/coins/001penny_desc_lt.ogg",
    "drascula": "drascula/en/S12.ALS",
}
BY_NAME = {package.name: package for package in PACKAGES}


@pytest.mark.parametrize("name", PATHS)
def test_a_path_says_whose_recording_it_is(name):
    path, voice = PATHS[name]
    assert BY_NAME[name].voice(f"./usr/share/{path}") == voice


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_speech_of_a_known_voice_is_left_out(name):
    assert BY_NAME[name].voice(f"./usr/share/{NONE[name]}") is None


def test_packages_are_pinned_and_their_utterances_distinct():
    assert all(re.fullmatch("[0-9a-f]{64}", one.sha256) for one in PACKAGES)
    assert len({one.sha256 for one in PACKAGES}) == len(PACKAGES) == 14
    tags = [(voice, one.tag) for one in PACKAGES for voice in set(one.voices.values())]
    assert len(set(tags)) == len(tags)


def package(path, **settings):
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Package(
        "talk", "1.0", sha256, "CC0", r".*/(?P<who>a|b)\d\.wav", {"a": "ann"}, **settings
    )


def test_a_package_is_known_by_its_content(tmp_path):
    path = debs.deb(tmp_path / "talk_1%3a1.0_all.deb", {"x/a1.wav": b"1"})
    known = package(path)
    assert packages.collect([known], str(tmp_path), tmp_path / "none") == [path]
    other = replace(known, sha256="0" * 64)
    with pytest.raises(InputError, match=r"talk=1\.0 missing or another version.*data\.root"):
        packages.collect([other], str(tmp_path), tmp_path / "none")


def test_without_apt_get_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"apt-get, which isn't here.*data\.root=FOLDER"):
        packages.collect([BY_NAME["drascula"]], None, tmp_path / "packages")


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("echo 'E: Version not found' >&2; exit 100", "drascula=1.0.*E: Version not found"),
        ("echo odd > drascula_1.0_all.deb", "another version"),
    ],
)
def test_a_download_that_fails_or_differs_is_one_line(tmp_path, monkeypatch, script, error):
    (tmp_path / "apt-get").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(InputError, match=error):
        packages.collect([BY_NAME["drascula"]], None, tmp_path / "packages")


def test_plain_files_are_read_and_links_left_out(tmp_path):
    path = debs.deb(
        tmp_path / "a.deb", {"x/a1.wav": b"one", "x/readme": b"two"}, {"x/a2.wav": "/etc/passwd"}
    )
    assert list(deb.members(path, lambda name: name.endswith(".wav"))) == [("./x/a1.wav", b"one")]


@pytest.mark.parametrize("damage", [b"", b"GIF89a", None])
def test_what_is_no_whole_package_is_one_line(tmp_path, damage):
    path = debs.deb(tmp_path / "a.deb", {"x/a1.wav": bytes(range(256)) * 40})
    path.write_bytes(path.read_bytes()[:-200] if damage is None else damage)
    with pytest.raises(InputError, match="not a whole Debian package"):
        list(deb.members(path, lambda name: True))


def test_the_archive_of_the_game_says_who_speaks():
    content = debs.queen(
        {"480006P1.SB": b"sec", "480006J1.SB": b"joe", "JOE0001.SB": b"alone", "C1.SB": b"?",
         "990006P1.SB": b"nobody", "500001P1.SB": b"woof"},
        {"SEC1": 48, "DOG1": 50},
    )  # fmt: skip
    assert list(queen.recordings(content)) == [
        ("joe", "480006J1.SB", b"joe"), ("sec", "480006P1.SB", b"sec"),
        ("joe", "JOE0001.SB", b"alone"),
    ]  # fmt: skip
    for broken in (b"", content[:100], content[:-3]):
        with pytest.raises(InputError, match=r"queen\.1c: not the archive"):
            list(queen.recordings(broken))
