"""Train a separation network: ``python train.py --help``."""

from autoclip_sep.cli.train import main

if __name__ == "__main__":
    main()
