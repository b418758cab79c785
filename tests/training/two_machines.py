"""Trains a small network with every clipper; `test_machines.py` starts it as one of two processes.

python two_machines.py FOLDER STORE     each process saves what it found as FOLDER/<rank>.pt
"""

import sys
from functools import partial
from pathlib import Path

import torch

from autoclip_sep.clipping import ALRC
from autoclip_sep.data.store.reading import Store
from autoclip_sep.runs import records
from autoclip_sep.training import distributed
from tests.clipping import conftest
from tests.training.small_runs import trainer

# The usual ALRC caps nothing in six steps.
CLIPPERS = {**conftest.CLIPPERS, "alrc_n0.1_decay0.3": partial(ALRC, 0.1, decay=0.3)}
COLUMNS = ("loss", "grad_norm", "threshold", "scale", "step_norm")
# Adam would hide what the clippers change; the factor brings gradients to their thresholds.
LOUD = {"optimizer": partial(torch.optim.SGD, lr=0.03), "factor": 1e4}
# Without dropout and BatchNorm, which depend on the process, nothing differs.
NETWORK = {"dropout": 0.0, "batch_norm": False, "layers": 1}


def run(label: str, directory: Path, store: Store) -> dict[str, torch.Tensor]:
    """The weights after six steps, the columns of its records, its validation losses."""
    made = trainer(
        directory, store, CLIPPERS[label], epochs=2, network=NETWORK, record_every=1,
        probe_points=0, **LOUD,
    )  # fmt: skip
    made.fit()
    weights = [parameter.detach().flatten() for parameter in made.parts.model.parameters()]
    found = {"weights": torch.cat(weights)}
    if distributed.rank() == 0:
        rows = records.read(directory / "dynamics.csv")
        for column in COLUMNS:
            found[column] = torch.tensor([float(row[column]) for row in rows])
        history = records.read(directory / "history.csv")
        found["valid_loss"] = torch.tensor([float(row["valid_loss"]) for row in history])
    return found


def main() -> None:
    """Every clipper, one after the other, each with a group of processes of its own."""
    folder, store = Path(sys.argv[1]), Store(sys.argv[2])
    torch.set_num_threads(1)
    found = {}
    for label in CLIPPERS:
        with distributed.process_group(torch.device("cpu")):
            found[label] = run(label, folder / label, store)
            number = distributed.rank()
    torch.save(found, folder / f"{number}.pt")


if __name__ == "__main__":
    main()
