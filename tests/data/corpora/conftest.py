"""Corpora through the configs that name them, in one process."""

import pytest

from autoclip_sep import parallel
from autoclip_sep.building.build import build
from autoclip_sep.cli import compose
from autoclip_sep.errors import InputError


@pytest.fixture
def one_process(monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 1)


@pytest.fixture
def prepare(tmp_path, one_process):
    """The store of a config's corpus, with settings of the corpus changed."""

    def prepare(root, choice="wsj0_2mix", folder=tmp_path, **settings):
        arguments = [f"data={choice}", f"data.root={root}", f"data.store={folder / 'store'}"]
        config = compose.plain(compose.compose("train", arguments))["data"]["corpus"]
        return build(config | settings, "data.corpus").prepare(progress=False)

    return prepare


@pytest.fixture
def refused(tmp_path, prepare):
    """The one line that a corpus is refused by; nothing may have been made."""

    def refused(root, choice="wsj0_2mix", **settings):
        with pytest.raises(InputError) as caught:
            prepare(root, choice, **settings)
        assert not list(tmp_path.glob("store/*-????????/"))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return refused
