"""Score the mixtures and ideal masks of a corpus: ``python scripts/bounds.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("bounds")
