"""ALRC's supersampling experiment: ``python recipes/alrc_supersampling/train.py --help``.

Ede, Beanland: "Adaptive learning rate clipping stabilizes learning" (2020), arXiv:1906.09060. A
loop of its own, around the library's clippers and its recorder.
"""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback while all this is imported

import time
from collections.abc import Sequence
from functools import cache, partial

import images
import torch
from network import ERRORS, Network, shrink, squared
from settings import Settings, understand
from torch import Tensor

from autoclip_sep.cli import command
from autoclip_sep.clipping import NonFiniteGradients
from autoclip_sep.dynamics import COLUMNS, Recorder
from autoclip_sep.runs import provenance, run_directory
from autoclip_sep.runs.records import Records

USAGE = """
python recipes/alrc_supersampling/train.py [-m] [group=choice ...] [key=value ...]

  python recipes/alrc_supersampling/train.py clipping=alrc error=quartic rate=high
  python recipes/alrc_supersampling/train.py clipping=alrc optimizer=adam optimizer.lr=1e-3
  python recipes/alrc_supersampling/train.py -m experiment=alrc_stability
  python recipes/alrc_supersampling/train.py images=cifar10 root=cifar-10-batches-bin

Groups: clipping optimizer experiment (files: configs/)    the other settings: --cfg job
-m   run every combination of the values given

Runs are kept in runs/supersampling/<images>/<error>/batch<b>/<optimizer>_<rate>/<clipping>/seed<n>.
A finished run is left as it is; one that was stopped, which loses seconds, begins again.
"""


def main() -> None:
    """The command."""
    command.main("supersampling", run, USAGE, check=understand)


def run(arguments: Sequence[str]) -> None:
    """Train the network that the arguments describe and keep its records."""
    settings = understand(arguments)
    if settings.finished():
        print(f"{settings.directory} is finished: nothing to do")
        return
    command.set_threads(settings.config["threads"])
    photographs = read_images(settings.config["images"], settings.config["root"])
    with run_directory.lock(settings.directory):
        run_directory.write_state(settings.directory, status="running")
        run_directory.write_config(settings.directory, settings.config)
        (settings.directory / run_directory.PROVENANCE).unlink(missing_ok=True)
        provenance.write(settings.directory, photographs.fingerprint, torch.device("cpu"))
        began = time.perf_counter()
        errors, end = train(settings, photographs)
        write_errors(settings, errors)
        run_directory.write_state(
            settings.directory, status="finished", iterations=len(errors), **end
        )
    last = sum(errors[-500:]) / len(errors[-500:])
    print(
        f"{settings.directory}: {len(errors):,} iterations in {time.perf_counter() - began:.0f} s, "
        f"{settings.config['error']} error {last:.3g} at the end, "
        f"{end['clipped_share']:.1%} of them clipped",
        flush=True,
    )


@cache
def read_images(name: str, root: str | None) -> images.Images:
    """Read once in a sweep."""
    return images.read(name, root)


def train(settings: Settings, data: images.Images) -> tuple[list[float], dict[str, float]]:
    """Train; a run that diverges ends where ten gradients in a row aren't finite.

    Gives the training error of every iteration, before clipping, and at the end the share of
    iterations that were clipped and the squared error of the test images.
    """
    config, clipper, error = settings.config, settings.clipper, ERRORS[settings.config["error"]]
    torch.manual_seed(config["seed"])
    network = Network(config["channels"])
    optimizer = settings.optimizer(network.parameters())
    draw = torch.Generator().manual_seed(config["seed"])  # its own: the same images for all
    (settings.directory / "dynamics.csv").unlink(missing_ok=True)
    records = Records(settings.directory / "dynamics.csv", COLUMNS)
    recorder = Recorder(
        network, optimizer, records,
        every=config["record_every"], raw_gradients=not clipper.clips_loss,
    )  # fmt: skip
    training, clipped = list[float](), 0

    def errors_of(image: Tensor) -> Tensor:
        return error(network(shrink(image)), image)  # (B,)

    def mean_error(image: Tensor) -> Tensor:
        return errors_of(image).mean()

    for _ in range(config["iterations"]):
        chosen = torch.randint(len(data.train), (config["batch_size"],), generator=draw)
        image = data.normalised(data.train[chosen])  # (B, 3, 32, 32)
        with recorder.step(closure=partial(mean_error, image)) as probe:
            errors = errors_of(image)
            clipper.clip_loss(errors).mean().backward()
            probe.observe(errors)
            training.append(float(errors.detach().mean()))
            try:
                probe.clip = clip = clipper.clip_gradients(network.named_parameters())
            except NonFiniteGradients:
                break
            if clip.finite:
                optimizer.step()
        clipped += bool(clip.clipped)
        optimizer.zero_grad(set_to_none=True)
    records.close()
    return training, {
        "clipped_share": clipped / len(training),
        "test_squared_error": test_error(network, data),
    }


@torch.no_grad()
def test_error(network: Network, data: images.Images) -> float:
    """Mean squared error of the test images."""
    parts = data.normalised(data.test).split(500)
    return float(torch.cat([squared(network(shrink(part)), part) for part in parts]).mean())


def write_errors(settings: Settings, errors: list[float]) -> None:
    """records.csv, whole or not at all: the training error of every iteration."""
    lines = [f"{number},{error:.6g}\n" for number, error in enumerate(errors, start=1)]
    run_directory.write_text(
        settings.directory / "records.csv", "iteration,error\n" + "".join(lines)
    )


if __name__ == "__main__":
    main()
