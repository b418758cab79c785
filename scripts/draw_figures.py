"""Draw every figure and table from records: ``python scripts/draw_figures.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("figures")
