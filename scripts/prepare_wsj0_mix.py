"""Make WSJ0-2mix and -3mix: ``python scripts/prepare_wsj0_mix.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("prepare-wsj0-mix")
