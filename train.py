"""Train a separation network: ``python train.py --help``."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback while all this is imported

from autoclip_sep.cli.train import main

if __name__ == "__main__":
    main()
