"""The exception whose message is meant for the user."""


class InputError(ValueError):
    """A request that can't be carried out as given.

    The message is one line: what was wrong, where, and what to do. The commands print it without
    a traceback and exit with code 2.
    """
