import pytest

from autoclip_sep.building import config_files
from autoclip_sep.cli import compose
from autoclip_sep.cli.plan import plan
from autoclip_sep.errors import InputError
from autoclip_sep.runs import run_directory


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clipping=none", "percentile=10"], r"percentile: .* clipping=none; .* clipping=autoclip"),
        (["loss=mask_inferense"], "did you mean mask_inference"),
        (["clipping=autoclips"], "did you mean autoclip"),
        (["trainer.epoch=3"], r"did you mean trainer\.epochs"),
        (["los=snr"], r"did you mean loss"),
        (["+percentile=10"], "can't be added"),
        (["clipping=none", "+percentile=10"], "can't be added"),
        (["~optimizer.lr"], "can't be added or deleted"),
        (["+data.root=x"], "can't be added"),
        (["dat.root=x"], r"^dat\.root: there is no such setting \(did you mean data\.root"),
        (["percentile"], "no setting: write key=value"),
        (["seed=[1"], "not understood"),
        (["percentile=1,10"], "^percentile=1,10: must be one value, or .*; with -m each of them"),
        (["loss=snr,chimera"], "^loss=snr,chimera: must be one value, or .*; with -m each of them"),
        (["trainer.excerpt=3"], r"did you mean trainer\.segment"),
        (["data=musdb18", "data.valid_excerpts=3"], r"did you mean data\.valid_segments"),
        (["clipping=alrc", "clipping.deviations=3"], r"did you mean clipping\.num_stddev"),
        (["clipping=zclip", "clipping.deviations=3"], r"did you mean clipping\.z_threshold"),
        (["seed=${nowhere}"], "nowhere"),
    ],
)
def test_mistakes_become_one_line(arguments, message):
    with pytest.raises(InputError, match=message) as error:
        compose.plain(compose.compose("train", arguments))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["percentile=101"], "percentile"),
        (["percentile=-1"], "percentile"),
        (["percentile=ten"], "percentile"),
        (["percentile=nan"], "percentile"),
        (["clipping=norm", "clipping.threshold=-1"], "threshold"),
        (["optimizer.lr=nan"], "optimizer.lr=.nan"),
        (["optimizer.lr=fast"], "optimizer.lr=fast"),
        (["scheduler.factor=2"], "scheduler: Factor should be < 1.0"),
        (["scheduler.factor=-0.5"], "scheduler.factor=-0.5: must be finite and not negative"),
        (["scheduler.patience=-1"], "scheduler.patience=-1: must be finite and not negative"),
        (["scheduler.interval=hour"], "scheduler: interval must be step or epoch, not 'hour'"),
        (["scheduler.interval=step"], "valid_loss is known once a validation"),
        (["scheduler.monitor=accuracy"], "scheduler: monitor must be one of epoch, step"),
        (["scheduler.monitor=null"], "scheduler: monitor=None: ReduceLROnPlateau needs one"),
        (["scheduler=cosine", "scheduler.monitor=valid_loss"], "no other schedule has one"),
        (["scheduler=cosine", "scheduler.T_max=0"], "scheduler: "),
        (["scheduler=step", "scheduler.step_size=0"], "scheduler: "),
        (["scheduler=warmup_cosine"], "add scheduler.schedulers.1.T_max=..."),
        (["optimizer.lr=-1"], "optimizer.lr=-1: must be finite and not negative"),
        (["optimizer.weight_decay=-1e-3"], "optimizer.weight_decay=-0.001: must be"),
        (["optimizer.betas=[0.9,0.99,0.999]"], "optimizer.betas="),
        (["optimizer.betas=[0.9,1.0]"], "optimizer: Invalid beta parameter at index 1: 1.0"),
        (["optimizer._target_=torch.optim.LBFGS"], "optimizer: .*unexpected keyword argument"),
        (["trainer.batch_size=0"], "trainer.batch_size=0: must be an integer of at least 1"),
        (["trainer.batch_size=2.5"], "trainer.batch_size=2.5"),
        (["trainer.precision=fp8"], "trainer.precision=fp8: must be fp32 or bf16 or fp16 or auto"),
        (["trainer.device=tpu"], "device must be auto, cpu or cuda"),
        (["optimizer.betas=[0.9]"], "optimizer.betas="),
        (["optimizer=adamw", "optimizer.betas=0.9"], "optimizer.betas=0.9"),
        (["model.layers=0"], "layers=0"),
        (["model.batch_norm=no"], "model.batch_norm='no'"),
        (["data.permute=off"], "data.permute='off'"),
        (["loss=whitened_kmeans", "loss.objective.weighted=no"], "weighted='no'"),
        (["loss=snr", "model.heads=[masks]"], r"heads=\['masks'\]: this loss trains waveforms"),
        (["model.heads=[masks,embedding]"], "this loss trains masks, no more and no less"),
        (["loss=chimera", "loss.heads=[masks]"], "this loss trains masks and embedding"),
        (["model.heads=masks"], "model.heads=masks: this loss trains masks"),
        (["data.sources=null"], "data.sources=null"),
        (["data.sources='2'"], "data.sources='2'"),
        (["model.sources=3"], "model.sources=3: data.sources is 2; leave model.sources out"),
        (["seed=-1"], "seed=-1"),
        (["data.corpus.train=0"], "data.corpus.train=0"),
        (["logger=wandb", "logger.wandb.mode=of"], "mode must be online, offline or disabled"),
    ],
)
def test_impossible_values_are_refused_before_anything_is_made(
    arguments, message, tmp_path, monkeypatch
):
    from autoclip_sep.cli.commands.train import train

    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        train(arguments)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


HARD_PATHS = [
    "a,b", "a b=c", "x(1)[2]{3}", "it's", "${seed}", "null", "1e5", "~/x", "ä/ü", "a\\b", "'quot'",
]  # fmt: skip


@pytest.mark.parametrize("path", HARD_PATHS)
def test_a_path_is_text_whatever_it_holds(path):
    config = compose.plain(compose.compose("train", [f"data.root={path}", f"runs={path}"]))
    assert config["data"]["root"] == path
    assert config["data"]["corpus"]["root"] == path
    assert config["runs"] == path


def test_a_path_with_a_comma_is_no_sweep():
    jobs = compose.sweep("train", ["percentile=1,10", "data.root=a,b"])
    assert jobs == [["percentile=1", "data.root=a,b"], ["percentile=10", "data.root=a,b"]]


def test_an_experiment_brings_its_sweep_and_arguments_replace_it():
    assert compose.sweep("train", ["experiment=demo"]) == [
        ["percentile=10", "experiment=demo"],
        ["percentile=100", "experiment=demo"],
    ]
    jobs = compose.sweep("train", ["experiment=demo", "percentile=0", "seed=1,2"])
    assert [sorted(job) for job in jobs] == [
        ["experiment=demo", "percentile=0", "seed=1"],
        ["experiment=demo", "percentile=0", "seed=2"],
    ]


def test_a_mark_that_hides_where_settings_belong_is_refused(tmp_path, monkeypatch):
    """Hydra would put them below `experiment`, where nobody looks."""
    monkeypatch.setattr(config_files, "ADDED", [tmp_path])
    (tmp_path / "experiment").mkdir()
    file, content = tmp_path / "experiment/mine.yaml", "# @package _global_\nseed: 7\n"
    file.write_text(content, encoding="utf-8-sig")
    compose.compose("train", [])
    with pytest.raises(InputError, match=r"mine\.yaml: a byte-order mark stands before # @pack"):
        compose.compose("train", ["experiment=mine"])
    file.write_text(content)
    assert compose.plain(compose.compose("train", ["experiment=mine"]))["seed"] == 7


@pytest.mark.parametrize(
    ("choice", "content", "message"),
    [
        ("data=mine", "defaults: [tree]\nvalid_excerpts: 4", r"^data\.valid_excerpts is called"),
        ("experiment=mine", "# @package _global_\ntrainer: {excerpt: 9}", r"trainer\.segment now$"),
        ("clipping=mine", "defaults: [alrc]\ndeviations: 2", r"clipping\.num_stddev now$"),
    ],
)
def test_a_former_name_in_a_file_of_ones_own_is_refused(
    choice, content, message, tmp_path, monkeypatch
):
    """Hydra adds it beside the present one, which keeps its default."""
    monkeypatch.setattr(config_files, "ADDED", [tmp_path])
    file = tmp_path / choice.replace("=", "/")
    file.parent.mkdir()
    file.with_suffix(".yaml").write_text(f"{content}\n")
    with pytest.raises(InputError, match=message):
        compose.plain(compose.compose("train", [choice]))


def test_a_sweep_over_groups():
    jobs = compose.sweep("train", ["loss=mask_inference,snr", "percentile=0,1"])
    assert len(jobs) == 4


def directory(*arguments):
    return plan(arguments).directory.as_posix()


def test_directories_say_which_run_they_hold():
    assert directory() == "runs/demo/mask_inference/blstm_demo/autoclip_p10/seed0"
    assert directory("percentile=10.0") == directory()
    assert directory("percentile=2.5", "seed=3", "loss=snr") == (
        "runs/demo/snr/blstm_demo/autoclip_p2.5/seed3"
    )
    assert directory("clipping=none").endswith("/none/seed0")


@pytest.mark.parametrize(
    "same", ["trainer.epochs=99", "logger=wandb", "trainer.workers=2", "data.root=/elsewhere"]
)
def test_what_changes_no_number_changes_no_directory(same):
    assert directory(same) == directory()


@pytest.mark.parametrize(
    "other",
    ["optimizer.lr=0.1", "optimizer=sgd", "trainer=paper", "model.hidden=5", "data.corpus.seed=2"],
)
def test_what_changes_numbers_changes_the_directory(other):
    assert directory(other) != directory()
    assert directory(other).startswith(directory() + "-")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["clipping=alrc", "clipping.num_stddev=2"], "alrc_n2/seed0"),
        (["clipping=zclip", "clipping.decay=0.9"], "zclip_z2.5_decay0.9/seed0"),
        (["clipping=autoclip_window", "clipping.scope=parameter"],
         "autoclip_p10_window1000_parameter/seed0"),
        (["clipping=alrc_autoclip", "clipping.loss.decay=0.9"],
         "alrc_n3_decay0.9_autoclip_p10/seed0"),
    ],
)  # fmt: skip
def test_a_clippers_settings_are_told_by_its_label_and_not_by_the_seeds_digits(arguments, wanted):
    assert directory(*arguments).endswith(f"/{wanted}")


def test_losses_of_both_signs_share_alrcs_label_and_no_directory():
    assert directory("clipping=alrc", "loss=snr").endswith("/alrc_n3/seed0")
    assert directory("clipping=alrc", "clipping.signed=true") != directory("clipping=alrc")


def test_a_run_named_in_the_old_way_is_pointed_at_not_begun_anew(tmp_path):
    """Settings that a clipper's label left out were among what the seed's six digits stand for."""
    asked = ["clipping=zclip", "clipping.decay=0.9", f"runs={tmp_path}"]
    planned = plan(asked)
    old = planned.directory.parents[1] / "zclip_z2.5" / "seed0-0123ab"
    old.mkdir(parents=True)
    run_directory.write_config(old, planned.config)
    with pytest.raises(InputError, match=f"{old} is this run.*rename it to {planned.directory}"):
        planned.check_directory()
    plan(["clipping=zclip", f"runs={tmp_path}"]).check_directory()
    old.rename(planned.directory.parent.parent / "elsewhere")
    planned.check_directory()


def test_alrc_knows_which_losses_change_sign():
    assert plan(["clipping=alrc", "loss=snr"]).config["clipping"]["signed"] is True
    assert plan(["clipping=alrc", "loss=chimera"]).config["clipping"]["signed"] is False
