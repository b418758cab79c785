"""When a run validates within an epoch, and when it stops because nothing gets better."""


class Validations:
    """The validations of a run: one at each epoch's end, and others in between.

    every: steps from one to the next, counted from the first step of the run; 0 for the ends of
    epochs only. patience: so many in a row without a new lowest validation loss end the run; 0 for
    never.
    """

    def __init__(self, every: int = 0, patience: int = 0) -> None:
        self.every, self.patience = every, patience
        self.step = 0  # of the latest one
        self.since_best = 0

    def due(self, step: int) -> bool:
        """Whether one is due now within an epoch: after this step, and not done yet."""
        return self.every > 0 and step % self.every == 0 and step != self.step

    def steps_left(self, step: int, rest: int, until: int | None = None) -> int:
        """Steps to the next one, or to step `until`, where the epoch ends in `rest` steps."""
        if until is not None:
            rest = max(0, min(rest, until - step))
        if self.due(step):
            return 0
        return min(rest, self.every - step % self.every) if self.every else rest

    def done(self, step: int, better: bool) -> None:
        """One took place; better: whether its loss was the lowest so far."""
        self.step = step
        self.since_best = 0 if better else self.since_best + 1

    @property
    def in_use(self) -> bool:
        """Whether the run depends on its state."""
        return bool(self.every or self.patience)

    @property
    def stopped(self) -> str | None:
        """Why the run ends before its last epoch; None where it doesn't."""
        if not self.patience or self.since_best < self.patience:
            return None
        times = "validation" if self.patience == 1 else f"{self.patience} validations"
        return f"no lower validation loss in {times} (trainer.patience)"

    def state_dict(self) -> dict[str, int]:
        """Plain numbers, for exact resume."""
        return {"step": self.step, "since_best": self.since_best}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a saved state."""
        self.step, self.since_best = state["step"], state["since_best"]
