"""A rank of a run with two optimizers and one clipper, and of one with SAM:

python several_in_two_processes.py MODE RANK FOLDER
"""

import math
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from autoclip_sep.clipping import AutoClip
from tests.clipping.test_skipped_steps import network
from tests.clipping.test_wrappers import Sam
from tests.clipping.two_processes import whole, wrap

BAD = 5


def run(kind, mode="single", rank=0, world=1):
    model, clipper = wrap(network(), mode), AutoClip(50)
    first, second = model.parameters()
    if kind == "several":
        optimizers = [
            torch.optim.SGD([first], lr=0.05, momentum=0.9),
            torch.optim.AdamW([second], lr=0.01),
        ]
    else:
        optimizers = Sam([first, second], torch.optim.SGD, lr=0.05, restores="added")
    clipper.attach(optimizers)
    for step in range(12):
        inputs = torch.randn(8, 5, generator=torch.Generator().manual_seed(step))
        if step == BAD:
            inputs[7] = math.nan  # only the last process has it
        inputs = inputs.chunk(world)[rank]

        def closure(inputs=inputs):
            model.zero_grad()
            (model(inputs) - 3).square().mean().backward()

        closure()
        before = [whole(parameter).clone() for parameter in (first, second)]
        if kind == "several":
            for optimizer in optimizers:
                optimizer.step()
        else:
            optimizers.step(closure)
        if step == BAD:
            assert torch.equal(before[0], whole(first))
            assert torch.equal(before[1], whole(second))
    weights = torch.cat([whole(parameter).flatten() for parameter in (first, second)])
    return {"weights": weights.detach(), "state": clipper.state_dict()}


def main():
    mode, rank, world, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    torch.set_num_threads(1)
    store = f"file://{folder}/{mode}-store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    saved = {kind: run(kind, mode, rank, world) for kind in ("several", "SAM")}
    torch.save(saved, folder / f"{mode}-{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
