"""A run on a store in shards: the weights of the plain store, in one process and in two, resumed.

The data's own tests are tests/data/store/test_sharded.py.
"""

import io
import json
import subprocess
import sys

import numpy as np
import pytest

from autoclip_sep.data.checks.statistics import signal_statistics
from autoclip_sep.data.store import remote, sharded, sharding
from autoclip_sep.errors import InputError
from tests.commands import ENVIRONMENT
from tests.data.store import s3
from tests.training.small_runs import everything, trainer

GB = 10**9
PROGRAM = """
import json, sys
from pathlib import Path

import torch

from autoclip_sep.data.store.sharded import open_store
from autoclip_sep.training import distributed
from tests.training.small_runs import trainer

directory, place, cache, epochs, workers = json.loads(sys.argv[1])
with distributed.process_group(torch.device("cpu")):
    store = open_store(place, cache, 10**9)
    trainer(Path(directory), store, epochs=epochs, workers=workers, checkpoint_every=2).fit()
"""


@pytest.fixture(scope="module")
def far(tiny_store):
    """The tiny store on an S3 server: the proxy before it, and the URL."""
    with s3.corpora() as proxy:
        content = io.BytesIO()
        np.save(content, signal_statistics(tiny_store, progress=False))
        url = "s3://corpora/tiny"
        size = sharded.PIECE
        sharding.shard(tiny_store, url, content.getvalue(), size=size, progress=False)
        yield proxy, url


def train(directory, proxy, place, cache, world=1, epochs=3, workers=0):
    program = directory.with_suffix(".py")
    program.write_text(PROGRAM)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone",
              f"--nproc-per-node={world}"] if world > 1 else [sys.executable]  # fmt: skip
    arguments = json.dumps([str(directory), place, str(cache), epochs, workers])
    done = subprocess.run(
        [*launch, str(program), arguments], capture_output=True, text=True, check=False,
        timeout=300, env={**ENVIRONMENT, **s3.environment(proxy)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("world", "workers"), [(1, 1), (2, 0)])
def test_a_resumed_run_has_the_bits_of_the_plain_store(
    far, tiny_store, tmp_path, assert_same, world, workers
):
    proxy, url = far
    shards = tmp_path / "folder"
    content = io.BytesIO()
    np.save(content, signal_statistics(tiny_store, progress=False))
    sharding.shard(tiny_store, str(shards), content.getvalue(), progress=False)
    # The plain store's own bits in one process; in two, those of an unbroken run on local shards.
    if world == 1:
        trainer(tmp_path / "plain", tiny_store, epochs=3, checkpoint_every=2).fit()
    else:
        train(tmp_path / "plain", proxy, str(shards), tmp_path / "none", world)
    train(tmp_path / "run", proxy, url, tmp_path / "cache", world, 1, workers)
    train(tmp_path / "run", proxy, url, tmp_path / "new cache", world, 3, workers)
    assert_same(everything(tmp_path / "run"), everything(tmp_path / "plain"))


def test_a_run_whose_server_goes_away_is_continued_to_the_same_bits(
    far, tiny_store, tmp_path, assert_same, monkeypatch
):
    monkeypatch.setattr(remote.Remote.__init__, "__defaults__", (2.0,))  # seconds
    proxy, url = far
    trainer(tmp_path / "plain", tiny_store, epochs=3, checkpoint_every=2).fit()

    train(tmp_path / "run", proxy, url, tmp_path / "cache", epochs=1)
    store = sharded.open_store(url, tmp_path / "other", GB)
    proxy.down = True
    try:
        with pytest.raises(InputError, match=r"s3://corpora/tiny/shards/.* can't be reached"):
            trainer(tmp_path / "run", store, epochs=3, checkpoint_every=2).fit()
    finally:
        proxy.down = False
    trainer(tmp_path / "run", store, epochs=3, checkpoint_every=2).fit()
    assert_same(everything(tmp_path / "run"), everything(tmp_path / "plain"))
