"""What AutoClip would have clipped: ``python scripts/replay.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("replay")
