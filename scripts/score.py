"""Score anybody's estimates beside their references: ``python scripts/score.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("score")
