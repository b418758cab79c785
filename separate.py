"""Separate audio files with a trained run: ``python separate.py --help``."""

from autoclip_sep.cli.separate import main

if __name__ == "__main__":
    main()
