"""Train, evaluate and draw all runs of an experiment: ``python scripts/reproduce.py``.

    python scripts/reproduce.py experiment=demo [key=value ...]

The runs go side by side as processes of few threads, which is faster than one after the other.
Finished runs are passed over, interrupted ones go on, a failed one doesn't stop the others. Figures
and the results table go to figures/. Ctrl-C stops all runs with their work saved.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from autoclip_sep import runs
from autoclip_sep.cli import command, compose
from autoclip_sep.cli.corpus import prepare
from autoclip_sep.cli.plan import Plan, plan
from autoclip_sep.data.parallel import cores
from autoclip_sep.errors import InputError

ROOT = Path(__file__).resolve().parents[1]

POLL = 0.5  # seconds


@dataclass
class Run:
    """One run of the experiment: train, then evaluate."""

    arguments: list[str]
    planned: Plan
    process: subprocess.Popen[bytes] | None = None
    steps_left: list[list[str]] = field(default_factory=list)
    failure: str = ""

    def start_next(self, threads: int) -> None:
        """Start its next command, the output going to a log beside its records."""
        script, *arguments = self.steps_left.pop(0)
        log = self.planned.directory / f"{Path(script).stem}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / script), *arguments],
                stdout=output, stderr=subprocess.STDOUT, env=environment,
            )  # fmt: skip

    def epochs_done(self) -> int:
        """Epochs so far, from its history."""
        try:
            lines = (self.planned.directory / "history.csv").read_text(encoding="utf-8").count("\n")
        except OSError:
            return 0
        return max(lines - 1, 0)


def main() -> None:
    """The command."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, the runs too
    with command.exit_codes("reproduce"):
        reproduce(sys.argv[1:] or ["experiment=demo"])


def reproduce(arguments: Sequence[str]) -> None:
    """Run the experiment that the arguments name, then draw."""
    if not any(argument.startswith("experiment=") for argument in arguments):
        raise InputError("which experiment? add experiment=demo")
    planned = [Run(job, plan(job)) for job in compose.sweep("train", arguments)]
    configs = {run.planned.config["data"]["name"]: run.planned.config for run in planned}
    for config in configs.values():
        prepare(config)  # once, before the runs want it all at the same time
    together = min(len(planned), cores())
    threads = max(cores() // together, 1)
    for run in planned:
        run.steps_left = [
            ["train.py", *run.arguments, "trainer.progress=false"],
            ["evaluate.py", f"run={run.planned.directory}"],
        ]
    _run_all(planned, together, threads)
    failures = [run for run in planned if run.failure]
    draw = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "draw_figures.py"),
         f"runs={planned[0].planned.config['runs']}", "output=figures"], check=False,
    )  # fmt: skip
    for run in failures:
        print(f"failed: {' '.join(run.arguments)}: {run.failure}", file=sys.stderr)
    if failures or draw.returncode:
        sys.exit(1)


def _run_all(planned: list[Run], together: int, threads: int) -> None:
    """Keep `together` processes going until every run has done its steps."""
    print(f"{len(planned)} runs, {together} at a time with {threads} threads each")
    epochs = sum(run.planned.settings.epochs for run in planned)
    waiting, going = list(planned), list[Run]()
    form = "{l_bar}{bar}| {n:g}/{total} epochs [{elapsed}<{remaining}]"
    with tqdm(total=epochs, bar_format=form, disable=None) as bar:
        try:
            while waiting or going:
                while waiting and len(going) < together:
                    going.append(waiting.pop(0))
                for run in list(going):
                    if not _go_on(run, threads):
                        going.remove(run)
                bar.update(sum(run.epochs_done() for run in planned) - bar.n)
                time.sleep(POLL)
        finally:
            for run in going:  # only where something stopped us: they save and stop too
                if run.process is not None:
                    run.process.terminate()
                    run.process.wait()


def _go_on(run: Run, threads: int) -> bool:
    """Start the run's next step where the last is done; False when nothing is left to do."""
    if run.process is not None:
        code = run.process.poll()
        if code is None:
            return True
        if code != 0:
            run.failure = f"exit code {code}, see the logs in {run.planned.directory}"
            return False
    if not run.steps_left:
        state = runs.read_state(run.planned.directory)
        tqdm.write(f"done: {run.planned.directory} ({state.get('step', 0):,} steps)")
        return False
    run.start_next(threads)
    return True


if __name__ == "__main__":
    main()
