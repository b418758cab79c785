"""One process of a distributed run; `test_distributed.py` starts two and compares what they save.

python two_processes.py all RANK WORLD FOLDER
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
    QuantileClipping,
    ValueClipping,
    ZClip,
)
from tests.clipping.test_wrappers import Sam

CLIPPERS = {
    "none": NoClipping,
    "norm": lambda: NormClipping(0.5),
    "value": lambda: ValueClipping(0.1),
    "local_norm": lambda: LocalNormClipping(0.2),
    "autoclip": lambda: AutoClip(30),
    "autoclip of each parameter": lambda: AutoClip(30, scope="parameter"),
    "alrc": lambda: ALRC(0.5, decay=0.5),
    "combined": lambda: Combined(ALRC(0.5, decay=0.5), AutoClip(30)),
    "agc": lambda: AGC(0.1),
    "quantile": lambda: QuantileClipping(20, rate=0.5),
    "zclip": lambda: ZClip(0.5, warmup=4),
    "adagc": lambda: AdaGC(warmup=5),
}
RUNS = [
    *[(name, "protocol") for name in CLIPPERS],
    *[(name, "attached") for name in ("value", "autoclip", "autoclip of each parameter", "agc")],
    *[(name, "step") for name in ("none", "norm", "autoclip")],
    ("autoclip", "several optimizers"),
    ("autoclip", "SAM"),
]
CHECKPOINTED = ["autoclip", "autoclip of each parameter", "combined", "quantile", "zclip", "adagc"]
STEPS, BAD_STEP = 16, 10


def network():
    """Layers whose rows divide by two processes, and some that don't, down to a single row."""
    torch.manual_seed(3)
    layers = nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3), nn.Tanh(), nn.Linear(3, 1)
    return nn.Sequential(*layers).double()


def wrap(model, mode):
    if mode == "ddp":
        return DistributedDataParallel(model)
    if mode == "fsdp":
        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        fully_shard(model[0], mesh=mesh)
        fully_shard(model, mesh=mesh)
    return model


def whole_weights(model):
    """The weights in one row, gathered from where they are sharded."""
    parameters = (p.full_tensor() if isinstance(p, DTensor) else p for p in model.parameters())
    return torch.cat([parameter.detach().flatten() for parameter in parameters])


def optimizers_for(way, parameters):
    if way == "step":  # torch has a fused Adam for sharded parameters, but no fused SGD
        return [torch.optim.Adam(parameters, lr=0.01, fused=True)]
    if way == "several optimizers":
        return [
            torch.optim.SGD(parameters[:3], lr=0.005, momentum=0.9),
            torch.optim.AdamW(parameters[3:], lr=0.01),
        ]
    if way == "SAM":
        return [Sam(parameters, torch.optim.SGD, lr=0.005, restores="added")]
    return [torch.optim.SGD(parameters, lr=0.005)]


def run(name, way, mode="single", rank=0, world=1):
    """Results of each step, weights and the clipper's state at the end."""
    model, clipper = wrap(network(), mode), CLIPPERS[name]()
    optimizers = optimizers_for(way, list(model.parameters()))
    by_itself = way in ("protocol", "step")
    handle = None if by_itself else clipper.attach(optimizers)
    generator, results, skipped = torch.Generator().manual_seed(0), [], []
    for step in range(STEPS):
        inputs = torch.randn(8, 5, generator=generator).double()
        if step == BAD_STEP:
            inputs[7] = math.nan  # only the last process has it
        inputs = inputs.chunk(world)[rank]

        def closure(inputs=inputs):
            model.zero_grad()
            losses = (model(inputs) - 3).square().mean(dim=1) * (1 + inputs[:, 0].abs())
            clipper.clip_loss(losses).mean().backward()

        closure()
        before = whole_weights(model)
        if way == "protocol":
            result = clipper.clip_gradients(model.parameters())
            if result.finite:
                optimizers[0].step()
        elif way == "step":
            result = clipper.step(optimizers[0])
        else:
            for optimizer in optimizers:
                optimizer.step(closure) if way == "SAM" else optimizer.step()
            result = handle.last
        if torch.equal(whole_weights(model), before):
            skipped.append(step)
        results.append([float(value) for value in result])
    return {
        "results": torch.tensor(results).double(),
        "skipped": skipped,
        "state": clipper.state_dict(),
        "weights": whole_weights(model),
    }


def checkpointed(name, rank, world, folder):
    """States of a clipper: saved beside a sharded model, rolled back, in a fresh one; two futures.

    The future is the weights after some more steps from the checkpoint on.
    """
    model, clipper = wrap(network(), "fsdp"), CLIPPERS[name]()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def go_on(seed):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(8):
            inputs = torch.randn(8, 5, generator=generator).double().chunk(world)[rank]
            losses = (model(inputs) - 3).square().mean(dim=1) * (1 + inputs[:, 0].abs())
            clipper.clip_loss(losses).mean().backward()
            clipper.clip_gradients(model.parameters())
            optimizer.step()
            optimizer.zero_grad()
        return whole_weights(model)

    def beside():
        weights, moments = get_state_dict(model, optimizer)
        return {"model": weights, "optimizer": moments, "clipper": clipper}

    go_on(0)
    saved, fresh = clipper.state_dict(), CLIPPERS[name]()
    dcp.save(beside(), checkpoint_id=folder / name)
    future = go_on(1)
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
    rank, world, folder = int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    saved = {(mode, *one): run(*one, mode, rank, world) for mode in ("ddp", "fsdp") for one in RUNS}
    for name in CHECKPOINTED:
        saved["dcp", name] = checkpointed(name, rank, world, folder)
    torch.save(saved, folder / f"all-{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
