from functools import cache

import pytest

from tests.training.small_runs import trainer


@pytest.fixture(scope="session")
def straight(tmp_path_factory, tiny_store):
    """A function: the directory of an uninterrupted run, trained once for each choice."""

    @cache
    def trained(*choice, **settings):
        directory = tmp_path_factory.mktemp("straight")
        trainer(directory, tiny_store, *choice, **settings).fit()
        return directory

    return trained
