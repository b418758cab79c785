"""What the tests of the commands share."""

import pytest

from tests.conftest import can_mount


@pytest.fixture
def small_disk(tmp_path):
    """A folder, and what before a command gives it half a megabyte there, for it alone."""
    if not can_mount():
        pytest.skip("no file system can be mounted here")
    folder = tmp_path / "small"
    folder.mkdir()
    mount = f"mount -t tmpfs -o size=512k tmpfs '{folder}' && exec \"$@\""
    return folder, ["unshare", "-Urm", "sh", "-c", mount, "sh"]
