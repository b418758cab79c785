"""Cut a store into shards, into object storage: ``python scripts/shard_store.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("shard-store")
