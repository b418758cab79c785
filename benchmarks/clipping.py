"""One clip of gradients that lie ready, alone and with Adam's step, by the length of the history.

The gradient's norm is 1 in every step, and so is the median of the history; its 10th percentile is
about 0.53. So all clip in every step, as clip_grad_norm_ always does, but for those that say they
don't.
"""

import copy
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from autoclip_sep.clipping import AutoClip, Clipper, NormClipping
from autoclip_sep.models.separator import Separator
from autoclip_sep.parallel import cores
from autoclip_sep.stft import STFT
from benchmarks.floor import Floor
from benchmarks.harness import Row, Settings, Work, installed, rows

PERCENTILE = 10.0
NETWORKS = ((2, 75, "masks"), (4, 600, "embedding"))  # layers, hidden, head
LENGTHS = (100, 10_000, 100_000, 1_000_000)
FULL = 2 * max(LENGTHS)  # a window that holds it all
WINDOW = 1000
WINDOWED = f"ours, `AutoClip(10, window={WINDOW})`"
NEVER = frozenset({
    "ours, `AutoClip(100)`: never clips",
    "smartclip, `AutoClip()`: median + 3 std, doesn't clip here",
    "timm, `adaptive_clip_grad`: another method",
})  # fmt: skip


class Subject:
    """A network with gradients of norm 1, which can be had again after they were clipped."""

    def __init__(self, at: Settings, layers: int, hidden: int, head: str) -> None:
        torch.manual_seed(0)
        hidden = at.of(hidden, hidden // 25)
        self.model = Separator(STFT(), [head], hidden=hidden, layers=layers).to(at.device)
        parameters = list(self.model.parameters())
        self.size = sum(parameter.numel() for parameter in parameters)
        self.name = f"{layers} × {hidden} BLSTM, {self.size / 1e6:.1f} M parameters"
        self.kept = [torch.randn_like(parameter) / self.size**0.5 for parameter in parameters]
        self.gradients = [gradient.clone() for gradient in self.kept]
        for parameter, gradient in zip(parameters, self.gradients, strict=True):
            parameter.grad = gradient

    def restore(self) -> None:
        """Undo what a clipper did to the gradients."""
        torch._foreach_copy_(self.gradients, self.kept)

    def outcome(self, _: object) -> list[Tensor]:
        """What a clipper left."""
        return self.gradients


@rows()
def clip(at: Settings) -> Iterator[Row]:
    """The clip alone, two threads where there are any: ours shares large tensors out."""
    for subject, length in _subjects(at):
        model, threshold = subject.model, _threshold(length)
        ours, plainly = partial(_ours, model, length), norms(length).tolist()
        yield Row(
            f"clip, {subject.name}",
            {
                "torch `clip_grad_norm_`": partial(_torchs, model, threshold),
                "ours, `AutoClip(10)`": ours(),
                WINDOWED: ours(window=WINDOW),
                "ours, `AutoClip(100)`: never clips": ours(percentile=100.0),
                "ours, `NormClipping`": _limit(model, NormClipping(threshold)),
                "plain: `.item()` per parameter, `np.percentile`": partial(plain, model, plainly),
                "autoclip, `QuantileClip(0.1, global_threshold=True)`": installed(
                    "autoclip.torch", partial(quantile_clip, model, length)
                ),
                "smartclip, `AutoClip()`: median + 3 std, doesn't clip here": installed(
                    "smartclip", partial(smartclip, model, length, False)
                ),
                'smartclip, `AutoClip(mode="percentile", history="window")`': installed(
                    "smartclip", partial(smartclip, model, length, True)
                ),
                "timm, `adaptive_clip_grad`: another method": installed(
                    "timm.utils.agc", partial(timms, model)
                ),
            },
            parts=NEVER | ({WINDOWED} if length > WINDOW else set()),
            before=subject.restore,
            outcome=subject.outcome,
            tolerance=_tolerance(length),
            axis="history",
            case=length,
            threads=at.of(min(2, cores()), 1),
            floor=Floor(bytes=4 * 3 * subject.size),  # read for the norm; read and written
        )


@rows()
def clip_and_adam(at: Settings) -> Iterator[Row]:
    """The clip and fused Adam's step; and, as a loop without either idea has it, plain Adam's."""
    for subject, length in _subjects(at):
        model, threshold = subject.model, _threshold(length)
        make = partial(torch.optim.Adam, lr=1e-9)  # the weights as good as stay
        default, fused = make(model.parameters()), make(model.parameters(), fused=True)
        others = [make(model.parameters(), fused=True) for _ in range(2)]
        apart, folded = _clipper(length), _clipper(length)

        def torchs(
            adam: torch.optim.Adam, model: nn.Module = model, threshold: float = threshold
        ) -> None:
            clip_grad_norm_(model.parameters(), threshold)
            adam.step()

        def ours(
            model: nn.Module = model,
            clipper: AutoClip = apart,
            adam: torch.optim.Adam = others[0],
        ) -> None:
            if clipper.clip_gradients(model.parameters()).finite:
                adam.step()

        sides: dict[str, Work | None] = {
            "torch `clip_grad_norm_`, `Adam(fused=True)`": partial(torchs, fused),
            "torch `clip_grad_norm_`, `Adam()`": partial(torchs, default),
            "ours, `AutoClip(10).clip_gradients`, `Adam(fused=True)`": ours,
            "ours, `AutoClip(10).step(adam)`": partial(folded.step, others[1]),
        }
        optimizers = dict(zip(sides, (fused, default, *others), strict=True))
        called: list[str] = []

        def noted(name: str, work: Work, called: list[str] = called) -> Work:
            def call() -> None:
                called[:] = [name]
                work()

            return call

        def moments(
            _: object,
            called: list[str] = called,
            optimizers: dict[str, torch.optim.Adam] = optimizers,
        ) -> list[Tensor]:
            return [state["exp_avg"] for state in optimizers[called[0]].state.values()]

        yield Row(
            f"clip + Adam, {subject.name}",
            {name: noted(name, work) for name, work in sides.items() if work is not None},
            before=subject.restore,
            outcome=moments,
            tolerance=_tolerance(length),
            axis="history",
            case=length,
            threads=at.of(min(2, cores()), 1),
            floor=Floor(bytes=4 * 8 * subject.size),  # norm; p, g, m, v read, p, m, v written
        )


def _subjects(at: Settings) -> Iterator[tuple[Subject, int]]:
    for network in NETWORKS:
        subject = Subject(at, *network)
        for length in at.of(LENGTHS, (5, 50)):
            yield subject, length


@cache
def norms(length: int) -> Tensor:
    """A history: (length,) log-normal float64 numbers of median 1."""
    return torch.from_numpy(np.random.default_rng(0).lognormal(sigma=0.5, size=length))


def _torchs(model: nn.Module, threshold: float) -> None:
    clip_grad_norm_(model.parameters(), threshold)


def _clipper(length: int, percentile: float = PERCENTILE, window: int | None = None) -> AutoClip:
    """AutoClip with a history, as from a checkpoint."""
    clipper = AutoClip(percentile, window=window)
    clipper.load_state_dict({**clipper.state_dict(), "history": norms(length)})
    return clipper


def _ours(model: nn.Module, length: int, **options: Any) -> Work:
    return _limit(model, _clipper(length, **options))


def _limit(model: nn.Module, clipper: Clipper) -> Work:
    return lambda: clipper.clip_gradients(model.parameters())


def _threshold(length: int) -> float:
    """That of the first step, in which the norm of 1 has entered the history."""
    return float(np.percentile([*norms(length).tolist(), 1.0], PERCENTILE))


def _tolerance(length: int) -> float:
    """The package autoclip leaves the step's own norm out, which counts in a short history."""
    return 0.25 / length + 1e-4


def plain(model: nn.Module, history: list[float]) -> None:
    """AutoClip in the plainest way: a host read for each parameter, a list, np.percentile."""
    squares = (p.grad.norm(2).item() ** 2 for p in model.parameters() if p.grad is not None)
    history.append(sum(squares) ** 0.5)
    clip_grad_norm_(model.parameters(), float(np.percentile(history, PERCENTILE)))


def quantile_clip(model: nn.Module, length: int, package: Any) -> Work:
    """The package autoclip: one threshold for all parameters, of the whole history."""
    options = {"quantile": PERCENTILE / 100, "history_length": FULL}
    clipper = package.QuantileClip(model.parameters(), global_threshold=True, **options)
    state = clipper.state_dict()
    state["state"]["global_history"] = norms(length).float()
    clipper.load_state_dict(state)
    step: Work = clipper.step
    return step


def smartclip(model: nn.Module, length: int, exact: bool, package: Any) -> Work:
    """The package smartclip: as it comes, or with the percentile of a window that holds it all."""
    return partial(package.apply, model, copy.deepcopy(_observed(length, exact, package)))


def timms(model: nn.Module, package: Any) -> Work:
    """timm's, which clips each unit by the norm of its weights."""
    return lambda: package.adaptive_clip_grad(model.parameters())


@cache
def _observed(length: int, exact: bool, package: Any) -> Any:
    options = {"mode": "percentile", "percentile": PERCENTILE, "history": "window"}
    options |= {"window_size": FULL, "warmup_steps": 0, "min_history": 1}
    clipper = package.AutoClip(**(options if exact else {}))
    for norm in norms(length).tolist():
        clipper.observe(norm)
    return clipper
