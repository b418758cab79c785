"""Trains a small network; `test_lost_machine.py` starts it as one of two processes.

python lost_machine.py DIRECTORY STORE [HERE]     with HERE, the second process stops in the second
epoch: it makes that file and waits for its end
"""

import sys
import time
from pathlib import Path

import torch

from autoclip_sep.data.store.reading import Store
from autoclip_sep.training import distributed
from tests.training.small_runs import trainer

SETTINGS = {"epochs": 2, "record_every": 1, "checkpoint_every": 2}


def main() -> None:
    """Train to the end, or to that of the other machine."""
    directory, store, *here = map(Path, sys.argv[1:])
    torch.set_num_threads(1)

    def stop(loss: torch.Tensor) -> torch.Tensor:
        if distributed.rank() == 1:
            here[0].touch()
            time.sleep(600)
        return loss

    # The loss is called three times in each recorded step, and an epoch has three steps.
    at = 13 if here else None
    with distributed.process_group(torch.device("cpu")):
        trainer(directory, Store(store), at=at, action=stop, **SETTINGS).fit()


if __name__ == "__main__":
    main()
