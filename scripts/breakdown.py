"""Where a system scores low: ``python scripts/breakdown.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("breakdown")
