"""Values of every wrong type, at every key, from a command, a config file, a run's config.yaml."""

import copy
import shutil
import traceback

import pytest
import torch
import yaml

from autoclip_sep.building import build, config_files
from autoclip_sep.cli import command, compose, trained
from autoclip_sep.cli.commands.evaluate import evaluate
from autoclip_sep.cli.commands.score import score
from autoclip_sep.cli.commands.separate import separate
from autoclip_sep.cli.commands.train import build_parts
from autoclip_sep.cli.corpus import corpus_of
from autoclip_sep.cli.plan import plan, understand
from autoclip_sep.errors import InputError
from autoclip_sep.runs import run_directory, sources
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.runs.config import checked

GONE = object()
WRONG = [
    "text", "a\0b", ["a", 1], [], {"a": 1}, None, True, -1, 0, 0.5, float("inf"), float("nan"),
    2**62, 10**400, GONE, {"_target_": "autoclip_sep.clipping.AutoClip"},
]  # fmt: skip
SMALL = ["model.hidden=4", "model.layers=1"]
COMMANDS = [  # and the groups that the first doesn't have so
    (["clipping=alrc_autoclip"], ()),
    (["data=musdb_demo", "loss=snr", "optimizer=sgd"], ("data", "loss", "optimizer")),
    (["scheduler=warmup_cosine", "scheduler.schedulers.1.T_max=9", "optimizer=radam"],
     ("scheduler", "optimizer")),
    (["data=tree", "data.root=x", "loss=chimera", "logger=wandb"], ("data", "loss", "logger")),
]  # fmt: skip
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
NO_CONFIGS = [
    b"- a\n", b"text\n", b"", b"null\n", b"a: [1\nb", b"a:\n\tb: 1\n", b"name: caf\xe9\n",
    b"name: \0\n", BOMB.encode(), b"a: &a [*a]\n", b"a: " + b"[" * 5000, b"name: 2024-99-99\n",
    b"1: 2\n", b"? [a]\n: b\n", b"---\na: 1\n---\nb: 2\n", b"a: !!python/name:os.system\n",
    b"seed: " + b"9" * 5000, b"<<: 5\n", "name: mine\n".encode("utf-16"),
]  # fmt: skip


def places(node, above=()):
    """Every key of a config, groups and values."""
    for key, value in node.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from places(value, (*above, key))


def mistakes(config, values, groups=()):
    """The config with each of the wrong values at each of its keys."""
    for *above, key in places(config):
        if groups and (above or [key])[0] not in groups:
            continue
        for value in values:
            wrong = copy.deepcopy(config)
            node = wrong
            for part in above:
                node = node[part]
            if value is GONE:
                del node[key]
            else:
                node[key] = value
            yield f"{'.'.join([*above, key])}={value!r:.40}", wrong


def unforeseen(job):
    """What a job raises, unless that is one line for people."""
    try:
        job()
    except InputError as error:
        return [f"several lines: {error}"] if "\n" in str(error) else []
    except OSError:
        pass  # also one line: tests/cli/test_system_errors.py
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return [f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"[:300]]
    return []


@pytest.mark.parametrize(("arguments", "groups"), COMMANDS)
def test_every_wrong_value_of_a_train_command_is_one_line(arguments, groups):
    composed = compose.compose("train", [*SMALL, *arguments])
    config, chosen = dict(compose.plain(composed)), compose.choices(composed)

    def job(wrong):
        planned = understand(checked(wrong), chosen)
        build_parts(planned, torch.device("cpu"))
        corpus_of(planned.config)

    job(config)
    found = {what: said for what, wrong in mistakes(config, WRONG, groups)
             if (said := unforeseen(lambda wrong=wrong: job(wrong)))}  # fmt: skip
    assert found == {}


@pytest.mark.parametrize(
    ("job", "needs"),
    [
        (evaluate, ["run=x"]),
        (separate, ["run=x", "input=x"]),
        (score, ["estimates=x", "references=x"]),
    ],
)
@pytest.mark.parametrize(
    "value", ["text", "''", "[a,1]", "{a: 1}", "null", "true", "-1", "1e400", "nan", "9" * 5000]
)
def test_every_wrong_value_of_the_other_commands_is_one_line(job, needs, value):
    keys = compose.compose(job.__name__, []).keys() - {"hydra"}
    found = {key: unforeseen(lambda key=key: job([*needs, f"{key}={value}"])) for key in keys}
    assert not any(found.values()), found


@pytest.mark.parametrize(
    "argument",
    ["seed=" + "9" * 5000, "seed=" + "[" * 3000, "seed=${seed}", "seed=1e400", "hydra=5", "=5",
     "hydra.sweeper.params=5", "seed=\n5", "seed=${oc.env:NOT_THERE}", "model@x=blstm", "data=a/b",
     "data=/etc/passwd", "model.heads={a: 1}", "data.root=\0", "hydra.runtime.choices=5"],
    ids=lambda argument: argument[:20],
)  # fmt: skip
def test_hard_arguments_are_one_line(argument):
    with pytest.raises(InputError) as caught:
        plan([argument])
    assert len(command.one_line(caught.value)) < 400


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A copy of configs/ that the commands use."""
    copied = tmp_path / "configs"
    shutil.copytree(config_files.CONFIGS, copied)
    monkeypatch.setattr(config_files, "CONFIGS", copied)
    build._named_in.cache_clear()
    yield copied
    build._named_in.cache_clear()


@pytest.mark.parametrize("content", NO_CONFIGS, ids=lambda content: repr(content[:20]))
def test_a_file_that_is_no_config_is_one_line_for_who_asks_for_it(configs, content):
    (configs / "data/mine.yaml").write_bytes(content)
    with pytest.raises(InputError) as caught:
        plan(["data=mine"])
    assert "\n" not in str(caught.value)
    if b"&" not in content:
        assert plan([]).seed == 0  # nor does it stop the others


@pytest.mark.parametrize(
    "content", ["corpus: text", "corpus: {}", "corpus: [1]", "name: [1]", "sources: two", "root: 5"]
)
def test_values_of_ones_own_corpus_are_checked(configs, content):
    own = yaml.safe_load((configs / "data/tree.yaml").read_text()) | yaml.safe_load(content)
    (configs / "data/mine.yaml").write_text(yaml.safe_dump(own))
    key = content.partition(":")[0]
    with pytest.raises(InputError, match=rf"^data\.{key}"):
        corpus_of(plan(["data=mine", *([] if key == "root" else ["data.root=x"])]).config)


def test_what_others_hide_among_the_configs_stops_nothing(configs):
    (configs / "data/._demo.yaml").write_bytes(b"\0\5\x16\7\xff\xfe")
    (configs / "data/.#demo.yaml").symlink_to("somebody@somewhere.123:456")
    (configs / "data/.old").mkdir()
    (configs / "data/.old/demo-checkpoint.yaml").write_bytes(b"\xff")
    (configs / "data/broken.yaml").symlink_to("nowhere")
    (configs / "data/a_folder.yaml").mkdir()
    assert plan(["data=demo"]).config["data"]["name"] == "demo"
    with pytest.raises(InputError, match="there are demo, digits, folder, libri2mix, musdb18,"):
        plan(["data=demonstration"])
    with pytest.raises(InputError, match="belongs to clipping=autoclip"):
        plan(["clipping=none", "percentile=1"])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that is ready to be used."""
    directory = tmp_path_factory.mktemp("run")
    planned = plan(SMALL)
    parts = build_parts(planned, torch.device("cpu"))
    run_directory.write_config(directory, planned.config)
    state = {"model": parts["model"].state_dict(), "epoch": 1}
    CheckpointFolder(directory / "checkpoints").save("best", 1, 1, state)
    return directory


def use(directory):
    """What evaluate.py and separate.py ask of a run before they look for files."""
    used = trained.load(str(directory), "best", torch.device("cpu"))
    sources.names(used.config)
    corpus_of(used.config)
    return used.config["data"]["name"], used.config["data"]["channels"], used.separation


def test_every_wrong_value_in_a_runs_config_is_one_line(run):
    path = run / "config.yaml"
    before = path.read_text()
    assert use(run)[0] == "demo"
    values = [["a", 1], {"a": 1}, None, True, -1, 2**62, GONE,
              {"_target_": "autoclip_sep.clipping.AutoClip"}]  # fmt: skip
    found = {}
    for what, wrong in mistakes(yaml.safe_load(before), values, ("data", "model", "stft", "loss")):
        path.write_text(yaml.safe_dump(wrong))
        if said := unforeseen(lambda: use(run)):
            found[what] = said
    path.write_text(before)
    assert found == {}


@pytest.mark.parametrize(
    "content", [*NO_CONFIGS, b"#" * 2_000_000], ids=lambda content: repr(content[:20])
)
def test_a_runs_config_that_is_none_is_one_line(tmp_path, content):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(InputError, match="config") as caught:
        run_directory.read_config(tmp_path)["data"]
    assert "\n" not in str(caught.value)
