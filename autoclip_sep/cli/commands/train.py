"""``python train.py``: compose, build, prepare the corpus, train."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from autoclip_sep.building import config_files
from autoclip_sep.building.build import build, call
from autoclip_sep.cli import command, corpus
from autoclip_sep.cli.main import as_called
from autoclip_sep.cli.plan import Plan, asked_for, plan
from autoclip_sep.data.loading.on_device import check_no_augmentation
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown, some
from autoclip_sep.runs import provenance, run_directory, sources
from autoclip_sep.training import (
    branching,
    distributed,
    freezing,
    initial_weights,
    memory,
    network,
)
from autoclip_sep.training.loggers.base import FailSafe, Logger, NoLogger, Several
from autoclip_sep.training.parts import Parts
from autoclip_sep.training.report import HISTORY
from autoclip_sep.training.schedulers import Schedule, try_optimizer, try_schedule
from autoclip_sep.training.settings import Settings, find_device
from autoclip_sep.training.trainer import Trainer

# Settings of each process' own: places on its machine, and what doesn't change a step.
OWN = re.compile(r"runs|trainer\.(workers|threads|device|progress)|(.*\.)?(root|store|corpora)")
USAGE = f"""
python train.py [-m] [group=choice ...] [key=value ...]

  python train.py clipping=autoclip percentile=10
  python train.py clipping=none seed=1
  python train.py -m loss=mask_inference,snr percentile=0,1,10,25,50,90,100
  python train.py -m percentile=1,10 hydra/launcher=joblib hydra.launcher.n_jobs=2
  torchrun --nproc-per-node 2 train.py data=wsj0_2mix
  python train.py init_from=RUN freeze=[norm,blstm.*]       start from another run's weights
  python train.py branch_from=RUN step=400 clipping=none    from its step with other settings

Groups: data augmentation loss model clipping optimizer scheduler logger trainer experiment
Files of the groups: {config_files.CONFIGS}
--cfg job   show the whole config and stop       -m   run every combination of the values given
--config-dir=FOLDER   files of your own for these groups, whose _target_ may be your own code

Runs are kept in runs/<data>/<loss>/<model>/<clipping>/seed<n>. The same command goes on with an
interrupted run and leaves a finished one as it is. Ctrl-C saves first.
"""


def main() -> None:
    """The command."""
    command.main("train", train, USAGE, check=plan, finished=Plan.finished, config=asked_for)


def train(arguments: Sequence[str]) -> None:
    """Train, or go on training, the run that the arguments describe."""
    planned = plan(arguments)
    command.set_threads(planned.settings.threads)
    device = call(find_device, "trainer.device", planned.settings.device)
    planned.check_memory()
    if device.type == "cpu":
        memory.keep_freed()
    built = build_parts(planned, device)  # what can't be built is said before any data is made
    planned.check_directory()
    with distributed.process_group(device):
        if distributed.from_first(planned.finished()):
            if distributed.rank() == 0:
                early = run_directory.read_state(planned.directory).get("reason")
                why = f"it ended early, {early}" if early else "trainer.epochs= may grow"
                print(f"{shown(str(planned.directory))} is finished: nothing to do ({why})")
            return
        _train(planned, built, device, corpus.of_data(arguments))


def _train(planned: Plan, built: dict[str, Any], device: torch.device, data: Sequence[str]) -> None:
    """The same with all processes; data: the arguments that name the corpus."""
    begun = distributed.from_first(branching.has_begun(planned.directory))
    start = {} if begun else _start(planned, built["model"])
    replayed = None if begun else _replayed(planned, device)
    named = [] if planned.trunk is None else [f"data={planned.config['data']['name']}"]
    store = corpus.ready(planned.config, [*named, *data], force=planned.config["force"])
    distributed.wait_for_all()  # one may decode the corpus for hours, others wait at its lock
    _check_same(planned, store.fingerprint)
    splits: dict[str, Any] = {"train": store.split("train"), "valid": store.split("valid")}
    where = (planned.directory, planned.seed, device)
    trainer = Trainer(Parts(**built, **splits), planned.settings, *where)
    trainer.parts.scheduler.check_length(planned.settings.epochs, trainer.loader.steps)
    fit = trainer.fit
    if replayed is not None:
        trunk_parts, trunk_settings = replayed
        replay = Trainer(Parts(**trunk_parts, **splits), trunk_settings, *where, kind="trunk")
        branching.check_step(planned.branch(), replay, trainer)
        fit = partial(branching.begin_and_fit, planned.branch(), replay, trainer)
    if distributed.rank() > 0:
        fit()
        return
    with run_directory.lock(planned.directory):
        for run in (planned, *([planned.trunk] if planned.trunk and replayed else [])):
            corpus.check_unchanged(run.directory, store, force=planned.config["force"])
        run_directory.write_config(planned.directory, planned.config)
        provenance.write(planned.directory, store.fingerprint, device, start)
        threads = torch.get_num_threads()
        place = shown(str(planned.directory))
        print(f"{place}  (device {device}, {threads} thread{'s' * (threads != 1)})")
        trainer.parts.logger.start(planned.directory, planned.config)
        try:
            fit()
        finally:
            trainer.parts.logger.finish()
        next_step = f"next: python evaluate.py {shlex.join(planned.evaluation())}"
        print(as_called(shown(next_step)))


def _check_same(planned: Plan, fingerprint: str) -> None:
    """Refuse processes that would train different runs together."""
    config = run_directory.flatten(planned.config)
    own = {key: value for key, value in config.items() if not OWN.fullmatch(key)}
    own["the corpus"] = fingerprint
    everyones = distributed.gather(own)
    differing = sorted(
        {key for each in everyones for key in run_directory.differences(each, everyones[0])}
    )
    if differing:
        raise InputError(
            f"the processes of this run have different {some(differing, 5)}: start all by one"
            " command; several runs are a sweep (-m)"
        )


def build_parts(planned: Plan, device: torch.device) -> dict[str, Any]:
    """Network, loss, optimizer, schedule, logger; initial weights are a function of the seed."""
    config = planned.config
    torch.manual_seed(planned.seed)
    model = build(config["model"], "model").to(device)
    check_heads(model, config["loss"]["heads"])
    if patterns := config.get("freeze"):
        freezing.freeze(model, patterns)
    optimizer, scheduler = _update(config, model)
    augmentation = corpus.augmentation_of(config)
    if planned.settings.store_on_device:
        check_no_augmentation(augmentation)
    network.prepare(model, planned.settings, device)
    return {
        "model": model,
        "objective": build(config["loss"]["objective"], "loss.objective"),
        "clipper": planned.clipper,
        "optimizer": optimizer,
        "scheduler": scheduler,
        "stft": build(config["stft"], "stft").to(device),
        "logger": logger_of(config),
        "augmentation": augmentation,
        "permute": sources.are_permuted(config),
        "valid_segments": config["data"].get("valid_segments", 1),
    }


def logger_of(config: Mapping[str, Any]) -> Logger:
    """The loggers of a config, each by its name; one whose settings have no name stands alone.

    None of them can hurt the run. Raises InputError for settings that describe none.
    """
    node = config["logger"]
    if "_target_" in node:
        known = {path.stem for path in config_files.files("logger")}
        if beside := sorted(node.keys() & known):
            raise InputError(
                f"logger: {node['_target_']} and {' and '.join(beside)} can't be together: none is"
                " for runs without a logger, and a file of your own needs # @package logger.NAME"
            )
        return FailSafe(build(node, "logger"))
    made = {name: build(inner, f"logger.{name}") for name, inner in node.items()}
    for name, logger in made.items():
        if not isinstance(logger, Logger):
            raise InputError(f"logger.{name}: what is described there can't be used as a logger")
    return Several([FailSafe(logger) for logger in made.values()])


def _start(planned: Plan, model: nn.Module) -> dict[str, Any]:
    """Which checkpoint a run starts from; initial weights are loaded, unless it is resumed."""
    if planned.trunk is not None:
        return branching.start(planned.branch(), planned.directory)
    if planned.source is None:
        return {}
    strict = planned.config.get("init_strict", True)
    start, line = initial_weights.load(model, planned.source, strict=strict)
    if distributed.rank() == 0:
        print(shown(line))
    return start


def _replayed(planned: Plan, device: torch.device) -> tuple[dict[str, Any], Settings] | None:
    """The parts and settings of the trunk of a branch that is still to begin."""
    trunk = planned.trunk
    if trunk is None:
        return None
    own = planned.settings
    same = ("workers", "store_on_device", "threads", "device", "progress", "checkpoint_every")
    kept = {name: getattr(own, name) for name in (*same, "gradient_checkpointing")}
    trunk = replace(trunk, settings=replace(trunk.settings, **kept, keep_every=0, profile=False))
    built = build_parts(trunk, device)
    built["logger"] = NoLogger()
    from_the_start = branching.from_the_start(planned.branch(), planned.directory)
    if from_the_start and "branch_from" in trunk.config:
        raise InputError(f"{trunk.directory} is a branch whose first checkpoint is gone")
    if from_the_start and trunk.source is not None:
        start = _start(trunk, built["model"])
        before = run_directory.read_provenance(trunk.directory).get("start", {})
        if start["sha256"] != before.get("sha256"):
            raise InputError(
                f"{trunk.directory} can't be replayed: {start['init_from']} isn't what it started"
                " from any more; choose a step with a checkpoint before it"
            )
    return built, trunk.settings


def check_heads(model: nn.Module, wanted: Sequence[str]) -> None:
    """Refuse a network that says which heads it has, and lacks one that the loss trains."""
    heads = getattr(model, "heads", None)
    if heads is not None and (missing := sorted({*wanted} - {*heads})):
        raise InputError(
            f"this loss trains {' and '.join(wanted)}, the network gives {' and '.join(heads)}: "
            f"it has no {missing[0]}; choose another loss or model"
        )


def _update(config: Mapping[str, Any], model: nn.Module) -> tuple[Optimizer, Schedule]:
    """Optimizer and schedule, both tried first on a weight that nobody uses."""
    make_optimizer = build(config["optimizer"], "optimizer")
    node = dict(config["scheduler"])
    when = {key: node.pop(key) for key in ("interval", "monitor") if key in node}
    make_schedule = build(node, "scheduler")
    tried = call(try_optimizer, "optimizer", make_optimizer)
    schedule = call(Schedule, "scheduler", make_schedule, tried, **when)
    call(try_schedule, "scheduler", schedule, dict.fromkeys(HISTORY, 0.0))
    optimizer = call(make_optimizer, "optimizer", model.parameters())
    return optimizer, call(Schedule, "scheduler", make_schedule, optimizer, **when)
