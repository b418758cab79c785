"""The metrics that `metrics=` names: files of configs/metric, or one's own."""

from collections.abc import Sequence
from pathlib import Path

from autoclip_sep.building import config_files
from autoclip_sep.building.build import build
from autoclip_sep.cli.arguments import near
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.metric import Metric
from autoclip_sep.runs.config import read_yaml


def named(names: str | Sequence[str], sample_rate: int | None = None) -> list[Metric]:
    """The metrics of these names, each once.

    A name is that of a file in configs/metric/, the path of such a file of one's own (.yaml), or
    PACKAGE.MODULE.CLASS. sample_rate: of what is to be scored [Hz], where that is known.
    Raises InputError for one that there isn't, that isn't trusted, or that can't score here.
    """
    words = dict.fromkeys([names] if isinstance(names, str) else names)
    metrics = [_named(str(word)) for word in words]
    if sample_rate is not None:
        for metric in metrics:
            metric.check(sample_rate)
    return metrics


def _named(name: str) -> Metric:
    known = {path.stem: path for path in config_files.files("metric")}
    path = Path(name) if name.endswith(".yaml") else known.get(name)
    if path is None and "." not in name:
        raise InputError(
            f"metrics={name}: there is no such metric{near(name, known)}; "
            f"there are {', '.join(known)}"
        )
    if path is not None and not path.is_file():
        raise InputError(f"metrics={name}: there is no such file")
    node = {"_target_": name} if path is None else read_yaml(path)
    metric = build(node, "metrics")
    if not isinstance(metric, Metric):
        raise InputError(f"metrics={name}: that is no {Metric.__module__}.Metric")
    metric.settings = {key: value for key, value in node.items() if key != "_target_"}
    return metric
