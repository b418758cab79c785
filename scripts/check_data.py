"""Look at a corpus before hours are spent on it: ``python scripts/check_data.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("check-data")
