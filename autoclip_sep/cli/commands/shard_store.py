"""Cut a store into shards, in object storage or a folder: ``python scripts/shard_store.py``.

    python scripts/shard_store.py store=store/wsj0_2mix-0a1b2c3d output=s3://bucket/wsj0_2mix
        [shard=64] [verify=true] [force=true]

store: the folder of a decoded corpus, as check_data names it. output: a URL of any kind that fsspec
knows (s3:// needs the package s3fs), or a folder. shard: MiB. verify: read all shards back, and
write those again that aren't what they were. force: take the place of another store.

What is there is not written again: an interrupted call is continued by the same call. Then:

    python train.py data=wsj0_2mix data.store=s3://bucket/wsj0_2mix data.cache_size=20
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from autoclip_sep.cli import arguments, command
from autoclip_sep.data.checks.statistics import signal_statistics
from autoclip_sep.data.store import sharding
from autoclip_sep.data.store.reading import Store
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown

DEFAULTS = {"store": None, "output": None, "shard": "64", "verify": "false", "force": "false"}


def main() -> None:
    """The command."""
    command.script("shard_store", run, __doc__)


def run(words: Sequence[str]) -> None:
    """Write the store where it isn't there yet, and say what there is."""
    settings = arguments.read(words, DEFAULTS)
    verify, force = (arguments.flag(settings, key) for key in ("verify", "force"))
    size = arguments.count(settings, "shard") * 2**20
    output = settings["output"]
    if not Path(settings["store"]).is_dir():
        raise InputError(f"store={settings['store']}: no such folder; check_data names a corpus'")
    with command.continued(Path(output)):
        store = Store(settings["store"])
        statistics = io.BytesIO()
        np.save(statistics, signal_statistics(store))
        done = sharding.shard(
            store, output, statistics.getvalue(), size=size, verify=verify, force=force
        )
    kept = done.shards - done.written
    print(
        shown(
            f"{output}: {done.shards:,} shards, {1e-9 * done.size:.2f} GB;"
            f" {done.written:,} written, {kept:,} already there{', all verified' if verify else ''}"
        )
    )
