"""The one exception that is meant for the person at the keyboard."""


class InputError(ValueError):
    """What was asked for can't be done as asked.

    The message is one line: what was wrong, where, and what to do. The commands print it without
    a traceback and exit with code 2.
    """
