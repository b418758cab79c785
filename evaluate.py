"""Score a trained run on its corpus' test set: ``python evaluate.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("evaluate")
