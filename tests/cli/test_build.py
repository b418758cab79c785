import pytest

from autoclip_sep.cli.build import build
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
autoclip_sep.clipping.autoclip.Clipper.__init__.__globals__ autoclip_sep.audio.os.system
autoclip_sep.audio.soundfile.write autoclip_sep.runs.fcntl.flock autoclip_sep.runs.json.loads
autoclip_sep.runs.os.remove autoclip_sep.checkpoint.torch.load autoclip_sep.runs.yaml.unsafe_load
autoclip_sep.training.optimizers.Adam autoclip_sep.runs.Path autoclip_sep_evil.thing
autoclip_sep.audio.write autoclip_sep.files.write_whole autoclip_sep.runs.write_text
autoclip_sep.cli.side_by_side.run_all autoclip_sep.optional.require autoclip_sep.records.Records
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
