"""Score a trained run on its corpus' test set: ``python evaluate.py --help``."""

from autoclip_sep.cli.evaluate import main

if __name__ == "__main__":
    main()
