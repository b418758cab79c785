"""The plain loop's network trained by each framework, as its documentation has it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import torch
import transformers
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from ignite.engine import Events, create_supervised_trainer
from ignite.handlers import Checkpoint, DiskSaver
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import MixedPrecision
from torch import nn
from torch.utils.data import DataLoader, SequentialSampler

from autoclip_sep.interop.lightning import GradientClipping as LightningClipping
from autoclip_sep.interop.transformers import GradientClipping as TrainerClipping
from tests.interop import plain

# What `plain.run` takes, after how many steps to stop and save, and whether to resume from there.
DEFAULTS = {
    "optimizer": "adamw", "epochs": 2, "accumulate": 1, "bad_batch": None, "precision": None,
    "scaler": None, "until": None, "resume": False,
}  # fmt: skip


def train(framework, clipper, folder: Path, **changes):
    """What `plain.run` returns. folder: where checkpoints lie."""
    return framework(clipper, folder, SimpleNamespace(**{**DEFAULTS, **changes}))


def in_accelerate(clipper, folder, asked):
    """No adapter: `attach` before `prepare`, and `register_for_checkpointing`."""
    # It keeps the precision of the first Accelerator for the whole process.
    AcceleratorState._reset_state(reset_partial_state=True)
    names = {None: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}
    accelerator = Accelerator(
        cpu=True,
        mixed_precision=names[asked.precision],
        gradient_accumulation_steps=asked.accumulate,
    )
    give_scaler(accelerator, asked.scaler)
    model = plain.network()
    optimizer = plain.OPTIMIZERS[asked.optimizer](model.named_parameters())
    clipper.attach(optimizer)
    model, optimizer, loader = accelerator.prepare(
        model, optimizer, DataLoader(plain.examples(asked.bad_batch), plain.BATCH_SIZE)
    )
    accelerator.register_for_checkpointing(clipper)
    if asked.resume:
        accelerator.load_state(folder / "half")
    for _ in range(1 if asked.until or asked.resume else asked.epochs):
        for batch in loader:
            with accelerator.accumulate(model):
                accelerator.backward(plain.loss_of(model, batch))
                optimizer.step()
                optimizer.zero_grad()
    if asked.until:
        accelerator.save_state(folder / "half")
    AcceleratorState._reset_state(reset_partial_state=True)
    return plain.outcome(model, optimizer, clipper)


def give_scaler(accelerator, scaler):
    """What Accelerate does by itself, but not on a CPU."""
    if scaler is not None:
        accelerator.native_amp, accelerator.scaler = True, scaler


def in_ignite(clipper, folder, asked):
    """No adapter: `attach`, and the clipper among what Ignite's Checkpoint is to save."""
    model = plain.network()
    optimizer = plain.OPTIMIZERS[asked.optimizer](model.named_parameters())
    trainer = create_supervised_trainer(
        model,
        optimizer,
        lambda estimate, target: (estimate - target).square().mean(),
        gradient_accumulation_steps=asked.accumulate,
        **({} if asked.scaler is None else {"amp_mode": "amp", "scaler": asked.scaler}),
    )
    clipper.attach(optimizer)
    to_save = {"model": model, "optimizer": optimizer, "clipper": clipper, "trainer": trainer}
    if asked.until:
        saver = Checkpoint(to_save, DiskSaver(folder), filename_pattern="half.pt")
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=asked.until), saver)
    if asked.resume:
        Checkpoint.load_objects(to_save, torch.load(folder / "half.pt", weights_only=True))
    data = [(batch, torch.tensor(3.0)) for batch in plain.batches(asked.bad_batch)]
    trainer.run(data, max_epochs=asked.epochs)
    return plain.outcome(model, optimizer, clipper)


def lightning_module(package: Any = lightning, optimizer: str = "adamw") -> Any:
    class Module(package.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = plain.network()
            self.lr = 0.01

        def training_step(self, batch, number):
            return plain.loss_of(self.net, batch)

        def configure_optimizers(self):
            return plain.OPTIMIZERS[optimizer](self.net.named_parameters())

    return Module()


def lightning_trainer(*callbacks: Any, package: Any = lightning, **settings: Any) -> Any:
    """A Trainer that is quiet and writes nothing but checkpoints that are asked for."""
    return package.Trainer(
        **{
            "accelerator": "cpu", "devices": 1, "max_epochs": 2, "logger": False,
            "enable_checkpointing": any(isinstance(c, ModelCheckpoint) for c in callbacks),
            "enable_progress_bar": False, "enable_model_summary": False,
            "callbacks": list(callbacks), **settings,
        }
    )  # fmt: skip


class Resumable:
    """A loader that knows where it is, which Lightning needs to go on within an epoch."""

    def __init__(self, bad_batch=None):
        self.batches = plain.batches(bad_batch)
        self.start = self.given = 0

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        start, self.start = self.start, 0
        for place in range(start, len(self)):
            self.given = place + 1
            yield self.batches[place]

    def state_dict(self):
        return {"given": self.given}

    def load_state_dict(self, state):
        self.start = state["given"] % len(self)


def in_lightning(clipper, folder, asked):
    settings = {"max_epochs": asked.epochs, "accumulate_grad_batches": asked.accumulate}
    callbacks, resumed = [LightningClipping(clipper)], {}
    if asked.scaler is not None:
        # Lightning has precision="16-mixed" on a CPU only by way of the plugin behind it.
        settings["plugins"] = [MixedPrecision("16-mixed", "cpu", asked.scaler)]
    elif asked.precision is torch.bfloat16:
        settings["precision"] = "bf16-mixed"
    if asked.until:
        callbacks.append(ModelCheckpoint(folder, "half", every_n_train_steps=asked.until))
        settings["max_steps"] = asked.until
    if asked.resume:
        resumed = {"ckpt_path": folder / "half.ckpt", "weights_only": True}
    module = lightning_module(optimizer=asked.optimizer)
    trainer = lightning_trainer(*callbacks, default_root_dir=folder, **settings)
    trainer.fit(module, Resumable(asked.bad_batch), **resumed)
    return plain.outcome(module.net, trainer.optimizers[0], clipper)


class Model(nn.Module):
    """What Hugging Face's Trainer trains."""

    def __init__(self, net: nn.Module | None = None) -> None:
        super().__init__()
        self.net = net or plain.network()

    def forward(self, inputs):
        return {"loss": plain.loss_of(self.net, inputs)}


class InOrder(transformers.Trainer):
    def _get_train_sampler(self, train_dataset=None):
        return SequentialSampler(self.train_dataset)


def dataset(bad_batch: int | None = None) -> list[dict[str, torch.Tensor]]:
    return [{"inputs": row} for row in plain.examples(bad_batch)]


def hugging_face_trainer(
    folder: Path, *callbacks: Any, optimizer="adamw", bad_batch=None, model=None,
    schedule=None, kind=InOrder, **settings: Any,
) -> Any:  # fmt: skip
    """A quiet Trainer on the CPU that takes the plain loop's batches."""
    model = model or Model()
    opt = plain.OPTIMIZERS[optimizer](model.net.named_parameters())
    arguments = {
        "output_dir": str(folder / "run"), "num_train_epochs": 2, "max_grad_norm": 0,
        "per_device_train_batch_size": plain.BATCH_SIZE, "lr_scheduler_type": "constant",
        "use_cpu": True, "report_to": "none", "disable_tqdm": True, "save_strategy": "no",
        "logging_strategy": "no", **settings,
    }  # fmt: skip
    return kind(
        model,
        transformers.TrainingArguments(**arguments),
        train_dataset=dataset(bad_batch),
        callbacks=list(callbacks),
        optimizers=(opt, schedule(opt) if schedule else None),
    )


def in_transformers(clipper, folder, asked):
    settings = {
        "optimizer": asked.optimizer, "bad_batch": asked.bad_batch,
        "num_train_epochs": asked.epochs, "gradient_accumulation_steps": asked.accumulate,
        "bf16": asked.precision is torch.bfloat16, "fp16": asked.precision is torch.float16,
    }  # fmt: skip
    if asked.until:
        every = asked.until
        settings |= {"save_strategy": "steps", "save_steps": every, "max_steps": every}
    trainer = hugging_face_trainer(folder, TrainerClipping(clipper), **settings)
    give_scaler(trainer.accelerator, asked.scaler)
    trainer.train(resume_from_checkpoint=asked.resume)
    return plain.outcome(trainer.model, trainer.optimizer, clipper)
