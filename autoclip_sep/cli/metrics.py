"""The metrics that `metrics=` names: files of configs/metric, or one's own."""

from collections.abc import Sequence
from pathlib import Path

from autoclip_sep.building import config_files
from autoclip_sep.building.build import build
from autoclip_sep.cli.arguments import near
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.metric import Metric
from autoclip_sep.runs.config import read_yaml


def named(names: str | Sequence[str]) -> list[Metric]:
    """The metrics of these names, each once.

    A name is that of a file in configs/metric/, the path of such a file of one's own (.yaml), or
    PACKAGE.MODULE.CLASS. Raises InputError for one that there isn't, or that isn't trusted.
    """
    return [
        _named(str(name)) for name in dict.fromkeys([names] if isinstance(names, str) else names)
    ]


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
