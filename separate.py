"""Separate audio files with a trained run: ``python separate.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("separate")
