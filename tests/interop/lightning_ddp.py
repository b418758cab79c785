"""A fit in one or two processes; `test_lightning.py` starts it and compares what it saves.

python lightning_ddp.py DEVICES FOLDER
"""

import math
import sys
import warnings
from pathlib import Path

import lightning
import torch
from torch.utils.data import DataLoader

from autoclip_sep.clipping import AutoClip
from autoclip_sep.interop.lightning import GradientClipping
from autoclip_sep.interop.lightning_recording import Recording
from tests.interop import plain

BATCH_SIZE = plain.BATCH_SIZE  # over all processes


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = plain.network()

    def training_step(self, batch, number):
        return (self.net(batch) - 3).square().mean()

    def train_dataloader(self):
        """Each process' part of the same batches; one example, in the last part, holds a NaN."""
        rank, world = self.trainer.global_rank, self.trainer.world_size
        inputs = plain.examples().double()
        inputs[6 * BATCH_SIZE - 1, 0] = math.nan
        batches = [batch.chunk(world)[rank] for batch in inputs.split(BATCH_SIZE)]
        return DataLoader(torch.cat(batches), BATCH_SIZE // world)

    def configure_optimizers(self):
        return torch.optim.Adam(self.net.parameters(), lr=0.01)


def names(batch):
    return [f"{row[1].item():.6f}" for row in batch]


def fit(devices, folder):
    """Saves the clipper's state, the weights and the share that was logged, one file a process.

    The first process' records lie in `records-DEVICES`.
    """
    clipper, module = AutoClip(percentile=50), Module()
    recording = Recording(folder / f"records-{devices}", every=2, times=1.05, first=4, items=names)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision="64-true",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        use_distributed_sampler=False,
        callbacks=[GradientClipping(clipper), recording],
    )
    trainer.fit(module)
    saved = {
        "clipper": clipper.state_dict(),
        "weights": torch.cat([p.detach().flatten() for p in module.parameters()]),
        "share": trainer.callback_metrics["clipping/clipped"].item(),
    }
    torch.save(saved, folder / f"{devices}-{trainer.global_rank}.pt")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    fit(int(sys.argv[1]), Path(sys.argv[2]))
    torch.distributed.destroy_process_group()  # else its threads may end the process by a signal
