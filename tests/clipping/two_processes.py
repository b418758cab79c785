"""One process of a distributed run; `test_distributed.py` starts it and compares what it saves.

python two_processes.py {single,ddp,fsdp,dcp} RANK WORLD FOLDER
"""

import math
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from autoclip_sep.clipping import (
    AGC,
    ALRC,
    AdaGC,
    AutoClip,
    Combined,
    LocalNormClipping,
    NoClipping,
    NormClipping,
    ValueClipping,
    ZClip,
)

CLIPPERS = {
    "none": NoClipping,
    "norm": lambda: NormClipping(0.5),
    "value": lambda: ValueClipping(0.1),
    "local_norm": lambda: LocalNormClipping(0.2),
    "autoclip": AutoClip,
    "autoclip of each parameter": lambda: AutoClip(scope="parameter"),
    "alrc": lambda: ALRC(0.5, decay=0.5),
    "combined": lambda: Combined(ALRC(0.5, decay=0.5), AutoClip()),
    "agc": lambda: AGC(0.1),
    "zclip": lambda: ZClip(0.5, warmup=4),
    "adagc": lambda: AdaGC(warmup=5),
}
WAYS = {
    "protocol": list(CLIPPERS),
    "attached": [name for name, make in CLIPPERS.items() if not make().clips_loss],
    "step": ["none", "norm", "autoclip"],
}
STEPS, BAD_STEP = 30, 20
LONG = ("autoclip", "1000 steps")


def network():
    """Layers whose rows divide by two processes, and some that don't, down to a single row."""
    torch.manual_seed(3)
    layers = nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3), nn.Tanh(), nn.Linear(3, 1)
    return nn.Sequential(*layers).double()


def small_network():
    """Few layers and one shard, because each step of FSDP2 takes its time."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 3), nn.Tanh(), nn.Linear(3, 1)).double()


def wrap(model, mode):
    if mode == "ddp":
        return DistributedDataParallel(model)
    if mode == "fsdp":
        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        if len(model) > 3:
            fully_shard(model[0], mesh=mesh)
        fully_shard(model, mesh=mesh)
    return model


def whole(tensor):
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor.detach()


def run(make_clipper, mode, rank, world, way, make_network=network, steps=STEPS):
    model = wrap(make_network(), mode)
    clipper, results, applied = make_clipper(), [], 0
    if way == "step":  # torch has a fused Adam for sharded parameters, but no fused SGD
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    handle = clipper.attach(optimizer) if way == "attached" else None
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        inputs = torch.randn(8, 5, generator=generator).double()
        if step == BAD_STEP:
            inputs[7] = math.nan  # only the last process has it
        inputs = inputs.chunk(world)[rank]
        losses = (model(inputs) - 3).square().mean(dim=1) * (1 + inputs[:, 0].abs())
        clipper.clip_loss(losses).mean().backward()
        if way == "step":
            result = clipper.step(optimizer)
        elif way == "attached":
            optimizer.step()
            result = handle.last
        else:
            result = clipper.clip_gradients(model.parameters())
            if result.finite:
                optimizer.step()
        applied += bool(result.finite)
        results.append([float(value) for value in result])
        optimizer.zero_grad()
    return {
        "results": torch.tensor(results).double(),
        "applied": applied,
        "state": clipper.state_dict(),
        "weights": torch.cat([whole(p).flatten() for p in model.parameters()]),
    }


def checkpointed(name, rank, world, folder):
    """States of a clipper: saved beside a sharded model, rolled back, in a fresh one; two futures.

    The future is the weights after some more steps from the checkpoint on.
    """
    model, clipper = wrap(small_network(), "fsdp"), CLIPPERS[name]()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def go_on(seed):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(10):
            inputs = torch.randn(8, 5, generator=generator).double().chunk(world)[rank]
            losses = (model(inputs) - 3).square().mean(dim=1) * (1 + inputs[:, 0].abs())
            clipper.clip_loss(losses).mean().backward()
            clipper.clip_gradients(model.parameters())
            optimizer.step()
            optimizer.zero_grad()
        return torch.cat([whole(p).flatten() for p in model.parameters()])

    def beside():
        weights, moments = get_state_dict(model, optimizer)
        return {"model": weights, "optimizer": moments, "clipper": clipper}

    go_on(0)
    saved, fresh = clipper.state_dict(), CLIPPERS[name]()
    dcp.save(beside(), checkpoint_id=folder / name)
    future = go_on(1)
    go_on(2)
    state = beside()
    dcp.load(state, checkpoint_id=folder / name)
    set_state_dict(
        model,
        optimizer,
        model_state_dict=state["model"],
        optim_state_dict=state["optimizer"],
    )
    back = clipper.state_dict()
    dcp.load({"clipper": fresh}, checkpoint_id=folder / name)
    futures = (future, go_on(1))
    return {"saved": saved, "back": back, "fresh": fresh.state_dict(), "futures": futures}


def main():
    mode, rank, world, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    torch.set_num_threads(1)
    if mode != "single":
        store = f"file://{folder}/{mode}-store"
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    if mode == "dcp":
        saved = {name: checkpointed(name, rank, world, folder) for name in CLIPPERS}
        torch.save(saved, folder / f"{mode}-{rank}.pt")
        dist.destroy_process_group()
        return
    saved = {
        (name, way): run(CLIPPERS[name], mode, rank, world, way)
        for way, names in WAYS.items()
        for name in names
    }
    saved[LONG] = run(AutoClip, mode, rank, world, "protocol", small_network, steps=1000)
    torch.save(saved, folder / f"{mode}-{rank}.pt")
    if mode != "single":
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
