"""Make LibriMix's clean mixtures: ``python scripts/prepare_librimix.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("prepare-librimix")
