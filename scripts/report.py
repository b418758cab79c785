"""A run, or a comparison of two, as one HTML page: ``python scripts/report.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("report")
