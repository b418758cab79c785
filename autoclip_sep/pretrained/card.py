"""The model card, written from config.json alone: what a run recorded, and nothing else."""

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from autoclip_sep.names import shown
from autoclip_sep.runs.scores import with_unit

Node = Mapping[str, Any]

HEADER = {
    "library_name": "autoclip_sep",
    "pipeline_tag": "audio-to-audio",
    "tags": ["audio", "source-separation"],
}
NOT_STATED = "not stated"
UNITS = {"si_sdr": "SI-SDR, dB", "si_sdr_improvement": "SI-SDR improvement, dB"}
USE = """## Use

```python
from autoclip_sep.pretrained import from_pretrained

model = from_pretrained("FOLDER")  # this folder
sources = model.separate(mixture)  # ({channels}, samples) at {sample_rate} Hz to ({sources}, {channels}, samples)
```

or `autoclip-sep separate model=FOLDER input=mixture.wav`, at any sample rate. `config.json` describes the network,
`model.safetensors` holds its weights; neither can run code.
"""  # noqa: E501


def text(content: Node) -> str:
    """The card as Markdown; content: that of config.json."""
    data, training = content["data"], content.get("training", {})
    header = yaml.safe_dump(HEADER, sort_keys=False).strip()
    use = USE.format(**{key: data[key] for key in ("channels", "sample_rate", "sources")})
    parts = [
        f"---\n{header}\n---",
        f"# {_class(content['model'])} trained on {_plain(data['name'])}",
        f"Separates {_what(data)}.",
        use.strip(),
        "## Training\n\n" + "\n".join(_training(content, training)),
        "## Scores\n\n" + _scores(content.get("scores", [])),
        f"## Licence\n\n- Data: {_licence(training)}\n- Weights: {NOT_STATED}",
        "## Limits\n\n" + "\n".join(f"- {line}" for line in _limits(data, training)),
    ]
    return "\n\n".join(parts) + "\n"


def _what(data: Node) -> str:
    names = data.get("source_names")
    which = f" ({', '.join(map(_plain, names))})" if names else ""
    channels = {1: "mono", 2: "stereo"}.get(data["channels"], f"{data['channels']}-channel")
    return f"{data['sources']} sources{which} of {channels} mixtures at {data['sample_rate']} Hz"


def _training(content: Node, training: Node) -> Iterator[str]:
    """One row for each thing that is known."""
    corpus, provenance = training.get("corpus", {}), training.get("provenance", {})
    model = {
        key: value for key, value in content["model"].items() if not isinstance(value, Mapping)
    }
    code = {key: provenance[key] for key in ("version", "commit", "torch") if key in provenance}
    rows = {
        "source": training.get("source"),
        "corpus": content["data"]["name"],
        "content": corpus.get("content"),
        "fingerprint of the corpus": provenance.get("fingerprint"),
        "loss": content["loss"].get("name"),
        "network": _settings({"name": _class(content["model"]), **model}),
        "parameters": _count(training.get("parameters")),
        "clipping": training.get("clipping"),
        "optimizer": _settings(training.get("optimizer", {})),
        "batch size": training.get("batch_size"),
        "segment [samples]": training.get("segment"),
        "seed": training.get("seed"),
        "steps": _count(training.get("steps")),
        "epochs": training.get("epochs"),
        "checkpoint": training.get("checkpoint"),
        "sha256": training.get("sha256"),
        "code": _settings({"name": "autoclip_sep", **code}) if code else None,
        "device": provenance.get("device"),
        "date": provenance.get("date"),
    }
    yield "| | |\n|---|---|"
    for key, value in rows.items():
        if value not in (None, ""):
            yield f"| {key} | {_plain(value)} |"


def _scores(rows: Any) -> str:
    if not rows:
        return "None: this checkpoint was not evaluated."
    lines = ["| split | score | mean | interval | median | mixtures | undefined |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        name = UNITS.get(row["score"], _name(row))
        bounds = row.get("interval")
        span = f"{bounds[0]:.2f} to {bounds[1]:.2f}" if bounds else ""
        cells = [row["split"], name, f"{row['mean']:.2f}", span, f"{row['median']:.2f}",
                 row["items"], row["undefined"]]  # fmt: skip
        lines.append(f"| {' | '.join(map(_plain, cells))} |")
    level = f"{rows[0].get('level', 0.95):.0%}".replace("%", " %")
    return "\n".join(lines) + (
        f"\n\nMeans and medians are over sources; intervals hold {level} over mixtures, of this "
        "network alone. Scores of silent sources are undefined and left out."
    )


def _name(row: Node) -> str:
    """`stoi`, or `bss_eval: sdr [dB]` of a metric with several scores."""
    metric, score = row["metric"], with_unit(row["score"])
    return score if row["score"].startswith(metric) else f"{metric}: {score}"


def _licence(training: Node) -> str:
    return _plain(training.get("corpus", {}).get("licence") or NOT_STATED)


def _limits(data: Node, training: Node) -> Iterator[str]:
    content = training.get("corpus", {}).get("content")
    rate = data["sample_rate"]
    yield f"{rate} Hz: nothing above {rate / 2000:g} kHz is separated; other rates are resampled."
    yield f"Always {data['sources']} sources, however many are in the mixture."
    if data.get("permute"):
        yield "The order of the sources differs from mixture to mixture."
    if content:
        yield f"It knows what it was trained on: {_plain(content)}."
    yield "The scores hold for mixtures of that corpus; others were not tried."


def _class(node: Node) -> str:
    return _plain(str(node.get("_target_", "")).rpartition(".")[2] or "Network")


def _settings(node: Node) -> str:
    """`Adam, lr 0.001, fused True`."""
    rest = (f"{key} {value}" for key, value in node.items() if key not in ("name", "_target_"))
    return ", ".join(filter(None, [str(node.get("name", "")), *rest]))


def _count(number: Any) -> str | None:
    return f"{number:,}" if isinstance(number, int) else None


def _plain(value: Any) -> str:
    """Text that is neither Markdown nor HTML, whatever a name holds."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", html.escape(shown(str(value)), quote=False))
