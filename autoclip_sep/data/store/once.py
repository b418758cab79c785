"""What several threads would say, said by one of them."""


class Once:
    """True for the first who calls it, False for all others.

    A list's pop is atomic: there is no lock for a fork to copy while it is held, or for pickle to
    stop at.
    """

    def __init__(self) -> None:
        self._left = [True]

    def __call__(self) -> bool:
        try:
            return self._left.pop()
        except IndexError:
            return False
