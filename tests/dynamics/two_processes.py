"""One process of a recorded distributed run; `test_distributed.py` compares what two have saved.

python two_processes.py all RANK WORLD FOLDER
"""

import logging
import math
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from autoclip_sep.clipping import AutoClip
from autoclip_sep.dynamics import Recorder
from autoclip_sep.training import distributed

STEPS, BAD_STEP, PARTS = 8, 5, 2
WAYS = ("plain", "accumulated", "reentrant", "not reentrant", "clipped")
RUNS = [
    *[(mode, way) for mode in ("ddp", "fsdp", "average") for way in WAYS],
    ("ddp", "bucket views"),
    ("ddp", "static graph"),
]


class Network(nn.Module):
    """Rows that divide by two processes, and a single one that doesn't."""

    def __init__(self, way):
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second, self.last = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 1)
        self.way = way
        self.double()

    def forward(self, x):
        hidden = self.first(x).tanh()
        if "reentrant" in self.way:
            reentrant = self.way == "reentrant"
            hidden = checkpoint(self.second, hidden, use_reentrant=reentrant)
        else:
            hidden = self.second(hidden)
        return self.last(hidden.tanh())


def wrap(model, mode, way):
    if mode == "ddp":
        settings = {"bucket views": "gradient_as_bucket_view", "static graph": "static_graph"}
        return DistributedDataParallel(model, **{settings[way]: True} if way in settings else {})
    if mode == "fsdp":
        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        fully_shard(model.second, mesh=mesh)
        fully_shard(model, mesh=mesh)
    return model


def whole(tensor):
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor.detach()


def run(mode, way, rank=0, world=1, every=1):
    """Rows, calls of the closure, weights at the end. mode: single is one process by itself."""
    model = wrap(Network(way), mode, way)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
    averages = mode == "average" or way == "clipped"
    average = distributed.average if averages and mode != "single" else None
    recorder = Recorder(model, optimizer, None, every=every, average=average)
    clipper = AutoClip(50) if way == "clipped" else AutoClip(None)
    generator, rows, calls = torch.Generator().manual_seed(0), [], 0
    parts = PARTS if way == "accumulated" else 1

    def loss_of(x):
        return (model(x) - 3).square().mean() / parts

    def closure(batches):
        nonlocal calls
        calls += 1
        for batch in batches:
            yield loss_of(batch)
        if way == "fails" and every == 1:
            raise RuntimeError(f"on rank {rank}")

    for step in range(1, STEPS + 1):
        x = torch.randn(16, 5, generator=generator).double()
        if step == BAD_STEP:
            x[15] = math.nan  # only the last process has it
        batches = [part.chunk(world)[rank] for part in x.chunk(parts)]
        with recorder.step(closure=partial(closure, batches)) as probe:
            for batch in batches:
                waits = mode == "ddp" and batch is not batches[-1]
                with model.no_sync() if waits else nullcontext():
                    loss = loss_of(batch)
                    loss.backward()
                if mode == "average":
                    distributed.average_gradients(model)
                probe.observe(loss * parts)
            probe.clip = clipper.clip_gradients(model.parameters())
            if probe.clip.finite:
                optimizer.step()
        optimizer.zero_grad()
        rows.append([float(value) for value in recorder.last.values()])
    return {
        "rows": torch.tensor(rows).double(),
        "calls": calls,
        "weights": torch.cat([whole(p).flatten() for p in model.parameters()]),
    }


def failure(rank, world):
    """What a closure that fails on both ranks raises."""
    try:
        run("ddp", "fails", rank, world)
    except RuntimeError as error:
        return str(error)
    return None


def main():
    logging.getLogger("autoclip_sep.clipping").setLevel(logging.ERROR)
    rank, world, folder = int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    saved = {}
    for mode, way in RUNS:
        saved[mode, way] = run(mode, way, rank, world)
        saved[mode, way]["unrecorded"] = run(mode, way, rank, world, every=1000)["weights"]
    saved["failure"] = failure(rank, world)
    torch.save(saved, folder / f"all-{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
