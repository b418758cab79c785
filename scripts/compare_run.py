"""Where a run leaves the reference: ``python scripts/compare_run.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("compare")
