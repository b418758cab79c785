"""Train, evaluate and draw all: ``python scripts/reproduce.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("reproduce")
