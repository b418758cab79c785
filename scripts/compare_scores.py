"""Which of two systems scores higher: ``python scripts/compare_scores.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("compare-scores")
