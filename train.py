"""Train a separation network: ``python train.py --help``."""

from autoclip_sep.cli.main import run

if __name__ == "__main__":
    run("train")
