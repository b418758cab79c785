"""Models to carry away: ``python scripts/export_model.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("export")
