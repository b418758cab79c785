"""The package itself: the clippers by their names, and nothing imported before one is asked for."""

import subprocess
import sys

import pytest

import autoclip_sep
from autoclip_sep import clipping
from tests.commands import ENVIRONMENT


def test_the_clippers_are_names_of_the_package():
    for name in clipping.__all__:
        assert getattr(autoclip_sep, name) is getattr(clipping, name)
        assert name in dir(autoclip_sep)
    assert "__version__" in dir(autoclip_sep)


@pytest.mark.parametrize("name", ["AutoClop", "no_such_room", "HISTORY"])
def test_any_other_name_is_none(name):
    with pytest.raises(AttributeError, match=f"'autoclip_sep' has no attribute '{name}'"):
        getattr(autoclip_sep, name)


def test_nothing_is_imported_before_a_clipper_is_asked_for():
    program = (
        "import sys, autoclip_sep\n"
        "from autoclip_sep import errors\n"
        "hasattr(autoclip_sep, '__wrapped__')\n"
        "assert 'torch' not in sys.modules\n"
        "from autoclip_sep import AutoClip\n"
        "assert AutoClip(percentile=10).label == 'autoclip_p10'\n"
    )
    subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, check=True, timeout=120)
