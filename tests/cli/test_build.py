import math
from contextlib import suppress

import pytest
import torch

from autoclip_sep.building.build import build, find
from autoclip_sep.clipping import AutoClip
from autoclip_sep.errors import InputError

FOREIGN = """
os.system os.mkdir subprocess.run subprocess.Popen builtins.eval builtins.exec builtins.open
builtins.__import__ pathlib.Path pathlib.Path.unlink shutil.rmtree importlib.import_module
pickle.loads pickle.load joblib.load numpy.load numpy.fromfile pandas.read_pickle torch.load
torch.save torch.serialization.load torch.hub.load torch.optim.Adam torch.jit.load
torch.utils.cpp_extension.load yaml.unsafe_load hydra.utils.instantiate hydra.utils.call
omegaconf.OmegaConf.load socket.socket urllib.request.urlopen ctypes.CDLL multiprocessing.Process
threading.Thread runpy.run_path webbrowser.open tempfile.mkdtemp soundfile.write sys.exit
autoclip_sep autoclip_sep. autoclip_sep.nowhere.Nothing autoclip_sep.clipping.Nothing
autoclip_sep.clipping.autoclip.Clipper.__init__.__globals__
autoclip_sep.audio.soundfiles.os.system autoclip_sep.audio.soundfiles.soundfile.write
autoclip_sep.runs.run_directory.fcntl.flock autoclip_sep.runs.run_directory.json.loads
autoclip_sep.runs.run_directory.os.remove autoclip_sep.runs.checkpoint.torch.load
autoclip_sep.runs.run_directory.yaml.unsafe_load autoclip_sep.training.optimizers.Adam
autoclip_sep.runs.run_directory.Path autoclip_sep_evil.thing autoclip_sep.audio.soundfiles.write
autoclip_sep.files.write_whole autoclip_sep.runs.run_directory.write_text
autoclip_sep.cli.grid.side_by_side.run_all autoclip_sep.optional.require
autoclip_sep.runs.records.Records
torch.optim torch.optim. torch.optim.adam.Adam torch.optim.lr_scheduler torch.optim.swa_utils.SWALR
torch.optim.lr_scheduler.warnings.warn torch.optim.lr_scheduler.Optimizer torch.optim.Optimizer.step
torch.nn.functional.relu torch.nn.init.zeros_ torch.nn.Parameter torch.nn.Module.to
torch.nn.modules.module.torch.save torch.nn.parallel.DistributedDataParallel torch.nn.factory_kwargs
""".split()


@pytest.mark.parametrize("target", [*FOREIGN, "", None, 3, ["os.system"]])
def test_nothing_foreign_is_built(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="only classes and functions of autoclip_sep"):
        build({"_target_": target, "command": "touch was_here"}, "model")
    with pytest.raises(InputError):
        build({"model": [{"inner": {"_target_": target, "_partial_": True}}]})
    assert not list(tmp_path.iterdir())


def test_objects_lists_and_partials_are_built():
    node = {"_target_": "autoclip_sep.clipping.AutoClip", "percentile": 25}
    built = build({"one": node, "more": [node, 3], "text": "_target_"})
    assert isinstance(built["one"], AutoClip)
    assert built["one"].percentile == 25
    assert built["more"][1:] == [3]
    later = build({**node, "_partial_": True})
    assert later().percentile == 25


def test_what_a_class_refuses_is_named_with_its_place():
    with pytest.raises(InputError, match=r"^clipping: .*percentile"):
        build({"_target_": "autoclip_sep.clipping.AutoClip", "percentile": 101}, "clipping")
    with pytest.raises(InputError, match=r"^config.model: .*unexpected"):
        build({"model": {"_target_": "autoclip_sep.clipping.AutoClip", "percentil": 1}})


@pytest.mark.parametrize(
    "place",
    ["optimizer", "scheduler", "scheduler.schedulers[0]", "model", "model.inner", "loss.objective",
     "clipping", "logger", "config"],
)  # fmt: skip
def test_of_torch_only_what_belongs_to_a_place_is_found(place):
    of = {
        "torch.optim.NAdam": ("optimizer",), "torch.optim.Muon": ("optimizer",),
        "torch.optim.lr_scheduler.OneCycleLR": ("scheduler",),
        "torch.optim.lr_scheduler.ReduceLROnPlateau": ("scheduler",),
        "torch.nn.GRU": ("model", "loss"), "torch.nn.L1Loss": ("model", "loss"),
        **dict.fromkeys(FOREIGN, ()),
        "torch.optim.Adam": ("optimizer",),
    }  # fmt: skip
    found = set()
    for target in of:
        with suppress(InputError):
            find(target, place)
            found.add(target)
    root = place.partition(".")[0]
    assert found == {target for target, places in of.items() if root in places}


def test_optimizers_and_schedules_of_torch_are_built():
    weights = [torch.nn.Parameter(torch.ones(2, 2))]
    node = {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 1, "betas": [0.5, 0.9]}
    optimizer = build(node, "optimizer")(weights)
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.9)
    node = {"_target_": "torch.optim.Adafactor", "_partial_": True, "beta2_decay": -0.8}
    assert build(node, "optimizer")(weights).param_groups[0]["beta2_decay"] == -0.8
    for number, reason in ((-1, "not negative"), (math.inf, "finite"), (math.nan, "finite")):
        with pytest.raises(InputError, match=rf"^scheduler\.gamma=.*{reason}"):
            build({"_target_": "torch.optim.lr_scheduler.StepLR", "gamma": number}, "scheduler")
        wrong = {"_target_": "torch.optim.lr_scheduler.MultiStepLR", "milestones": [1, number]}
        with pytest.raises(InputError, match=rf"^scheduler\.milestones=.*{reason}"):
            build(wrong, "scheduler")
