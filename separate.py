"""Separate audio files with a trained run: ``python separate.py --help``."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback while all this is imported

from autoclip_sep.cli.separate import main

if __name__ == "__main__":
    main()
