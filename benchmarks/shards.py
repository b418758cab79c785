"""Reading speed of a store in shards: from the cache, and from an S3 server on this machine.

python -m benchmarks.shards
"""

import argparse
import io
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.checks.statistics import signal_statistics
from autoclip_sep.data.loading.segments import Segments
from autoclip_sep.data.store.conversion import prepare
from autoclip_sep.data.store.reading import Item, Signal, Store
from autoclip_sep.data.store.sharded import open_store
from autoclip_sep.data.store.sharding import shard
from tests.data.store import s3

MIXTURES, SECONDS, RATE, BATCH, SEGMENT = 600, 6, 8000, 16, 25_600


def measure(label: str, store: Store, steps: int) -> None:
    batches = Segments(store.split("train"), batch_size=BATCH, segment=SEGMENT, seed=0)
    begun = time.perf_counter()
    for step in range(steps):
        batches[0, step]
    took = time.perf_counter() - begun
    audio = steps * BATCH * SEGMENT / RATE
    print(f"{label:<28}{1e3 * took / steps:9.1f} ms a step{audio / took:11,.0f} x real time")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place, s3.serving() as proxy:
        folder, items = Path(place), []
        for n in range(MIXTURES):
            paths = [folder / "corpus" / f"{n}-{s}.wav" for s in range(2)]
            for path in paths:
                soundfiles.write(path, rng.uniform(-0.4, 0.4, SECONDS * RATE), RATE)
            items.append(Item(str(n), "train", tuple(Signal(path) for path in paths)))
        plain = prepare(folder / "store", RATE, items, progress=False, jobs=1)
        os.environ.update(s3.environment(proxy))
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{proxy.behind}"
        s3.make_bucket("corpora")
        content = io.BytesIO()
        np.save(content, signal_statistics(plain, progress=False))
        for output in ("s3://corpora/bench", str(folder / "shards")):
            shard(plain, output, content.getvalue(), progress=False)
        steps = MIXTURES // BATCH
        measure("plain store", plain, steps)
        measure("shards in a folder", open_store(str(folder / "shards"), "", 10**9), steps)
        for label in ("S3 server, empty cache", "S3 server, full cache"):
            store = open_store("s3://corpora/bench", folder / "cache", 10**9)
            measure(label, store, 5)  # the server is slow with parts of objects


if __name__ == "__main__":
    main()
