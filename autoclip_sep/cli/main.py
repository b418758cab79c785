"""``autoclip-sep train ...``: the commands by name, each imported only when it is called."""

import difflib
import errno
import importlib
import os
import re
import signal
import sys
import textwrap

WIDTH = 100
PROGRAM, MODULE = "autoclip-sep", "autoclip_sep.cli.main"

# Each command's script in a checkout, and what it does; its module bears its name.
COMMANDS = {
    "train": ("train.py", "train a separation network, or resume a run"),
    "evaluate": ("evaluate.py", "score a trained run on its corpus' test set"),
    "score": ("scripts/score.py", "score anybody's estimates beside their references"),
    "bounds": ("scripts/bounds.py", "score a corpus' mixtures and ideal masks"),
    "separate": ("separate.py", "separate audio files with a trained run"),
    "export": ("scripts/export_model.py", "write a trained network into a folder to carry away"),
    "check-data": ("scripts/check_data.py", "look at a corpus before hours are spent on it"),
    "prepare-wsj0-mix": ("scripts/prepare_wsj0_mix.py", "make WSJ0-2mix and -3mix from WSJ0"),
    "prepare-librimix": ("scripts/prepare_librimix.py", "make LibriMix from LibriSpeech"),
    "shard-store": ("scripts/shard_store.py", "cut a store into shards, into object storage"),
    "replay": ("scripts/replay.py", "what AutoClip would have clipped of recorded norms"),
    "compare": ("scripts/compare_run.py", "where a run leaves its reference"),
    "report": ("scripts/report.py", "a run, or two compared, as one HTML page to read and hear"),
    "compare-scores": (
        "scripts/compare_scores.py",
        "which of two systems scores higher",
    ),
    "breakdown": ("scripts/breakdown.py", "where a system scores low"),
    "figures": ("scripts/draw_figures.py", "draw every figure and table of a folder of runs"),
    "reproduce": ("scripts/reproduce.py", "train, evaluate and draw all of an experiment"),
}


def main() -> None:
    """The console command: the first argument names a command, the rest are its own."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        try:
            if sys.stdout is None:
                raise OSError(errno.EBADF, "it is closed")
            print(_usage(), flush=True)
        except OSError as error:
            if sys.stdout:  # or it would be tried again
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):  # nobody reads it, `| head` perhaps
                sys.exit(128 + signal.SIGPIPE)
            print(f"{PROGRAM}: standard output: {error.strerror}", file=sys.stderr)
            sys.exit(2)
    elif name in COMMANDS:
        sys.argv[:2] = [f"{PROGRAM} {name}"]
        run(name)
    else:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        known = ", ".join(COMMANDS)
        print(f"{PROGRAM}: {name!r} is no command{meant}; there are {known}", file=sys.stderr)
        sys.exit(2)


def run(name: str) -> None:
    """Run a command with the arguments in ``sys.argv[1:]``, as the scripts of a checkout do."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback while all this is imported
    importlib.import_module(f"autoclip_sep.cli.commands.{name.replace('-', '_')}").main()


def called(name: str) -> str:
    """A script's name, or the console command's where that is running: messages begin with it."""
    begins = f"{PROGRAM} "
    return sys.argv[0].removeprefix(begins) if sys.argv[0].startswith(begins) else name


def as_called(text: str) -> str:
    """A text that names scripts, with console commands instead where one of these is running."""
    if not sys.argv[0].startswith(f"{PROGRAM} "):
        return text
    text = re.sub(r"(torchrun .*?)(?=train\.py)", r"\1--no-python ", text)
    for name, (script, _) in COMMANDS.items():
        text = re.sub(rf"(?<![\w/-])(python )?{re.escape(script)}", f"{PROGRAM} {name}", text)
    return text


def help_as_called(text: str) -> str:
    """A help text likewise; sentences that other names made longer or shorter are wrapped anew."""
    return "\n\n".join(map(_wrapped, text.strip().split("\n\n")))


def _wrapped(paragraph: str) -> str:
    called = as_called(paragraph)
    # Examples begin with the program, lists and tables have lines that are indented or have gaps.
    if called == paragraph or called.startswith(PROGRAM) or "  " in called:
        return called
    words = " ".join(called.splitlines())
    return textwrap.fill(words, WIDTH, break_long_words=False, break_on_hyphens=False)


def _usage() -> str:
    rows = "\n".join(f"  {name:<18}{what}" for name, (_, what) in COMMANDS.items())
    return f"{PROGRAM} COMMAND [key=value ...]\n\n{rows}\n\n{PROGRAM} COMMAND --help says more."


if __name__ == "__main__":
    main()
