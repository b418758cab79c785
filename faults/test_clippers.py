"""Every clipper's run goes on to equal records, wherever it is stopped."""

import os
import signal
from functools import partial

import pytest
import torch

from autoclip_sep.building import config_files
from autoclip_sep.losses.mask_inference import MaskInference
from faults.trained import SHORT, assert_same_runs
from tests.golden.make import only_run

CLIPPINGS = sorted(path.stem for path in (config_files.CONFIGS / "clipping").glob("*.yaml"))
# The step in which a signal comes, of eight in two epochs, and what it does.
STOPS = {
    "mid-epoch": (2, signal.SIGTERM),
    "an epoch's last batch": (4, signal.SIGTERM),
    "killed after an epoch": (5, signal.SIGKILL),
}
CALLS = 2  # of the loss with gradients in each step: the second is the recorder's


def stop(step, number):
    """In this process: a signal at the first loss of a step."""
    calls, loss = 0, MaskInference.__call__

    def counted(self, *given):
        nonlocal calls
        calls += torch.is_grad_enabled()
        if calls == CALLS * (step - 1) + 1 and torch.is_grad_enabled():
            os.kill(os.getpid(), number)
        return loss(self, *given)

    MaskInference.__call__ = counted


@pytest.mark.parametrize("clipping", CLIPPINGS)
def test_every_clipper_goes_on(place, measured, clipping):
    more = (*SHORT, f"clipping={clipping}")
    straight, _ = place.whole(f"straight_{clipping}", *more)
    for number, (step, sent) in enumerate(STOPS.values()):
        name = f"{clipping}{number}"
        ended = place.train(name, *more, before=partial(stop, step, sent))
        assert ended.code == (128 + sent if sent == signal.SIGTERM else -sent), ended
        assert place.train(name, *more).code == 0
        assert_same_runs(straight, only_run(place.folder / name))
    measured(f"{len(STOPS)} stops ({', '.join(STOPS)}): 0 bytes differ")
