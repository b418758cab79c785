"""An installed copy: `autoclip-sep` with its configs, in an environment that has no checkout."""

import os
import shutil
import subprocess
import sys
import venv

import pytest

from tests.commands import ROOT
from tests.golden.make import SEPARATE, TRAIN, only_run, write_corpus
from tests.test_contracts import SMALL, write_everything

BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def done(words, place, check=0):
    """Run a program as a stranger does: nothing of this repository is on its path."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment = {**clean, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [str(word) for word in words], cwd=place, env=environment, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert result.returncode == check, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of the programs of an environment into which the wheel was installed.

    What the package needs is that of this environment, without what is installed editable here.
    """
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    shutil.copytree(ROOT / "autoclip_sep", source / "autoclip_sep")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    done([sys.executable, "-c", BUILD, folder], source)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", symlinks=True)
    (site,) = folder.glob("env/lib/python*/site-packages")
    packages = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "packages.pth").write_text("\n".join(packages))
    done(
        [sys.executable, "-m", "pip", "--python", folder / "env/bin/python", "install", "--quiet",
         "--no-index", "--no-deps", "--ignore-installed", wheel],
        folder,
    )  # fmt: skip
    return folder / "env" / "bin"


def test_a_run_is_trained_scored_and_used_from_an_installed_wheel(installed, tmp_path):
    where = "import autoclip_sep; print(autoclip_sep.__file__)"
    assert str(installed.parent) in done([installed / "python", "-c", where], tmp_path)
    program = installed / "autoclip-sep"
    write_corpus(tmp_path / "corpus")
    done([program, "train", *TRAIN, "trainer.epochs=1"], tmp_path)
    run = only_run(tmp_path / "runs").relative_to(tmp_path)
    assert '"commit": "unknown"' in (tmp_path / run / "provenance.json").read_text()
    assert "SI-SDR" in done([program, "evaluate", f"run={run}"], tmp_path)
    assert str(run / "report.html") in done([program, "report", f"run={run}"], tmp_path)
    done([program, "separate", f"run={run}", *SEPARATE], tmp_path)
    assert {path.name for path in tmp_path.glob("separated/*/*")} == {"s1.wav", "s2.wav"}
    assert {path.name for path in tmp_path.iterdir()} == {"corpus", "runs", "separated", "store"}


def test_everything_that_can_be_added_is_added_to_an_installed_wheel(installed, tmp_path):
    write_everything(tmp_path)
    program = installed / "autoclip-sep"
    chosen = [
        "data=pairs", "model=filter", "loss=distance", "clipping=half", "optimizer=slow",
        "scheduler=warm", "logger=lines", "data.root=sound", "trainer.epochs=3", *SMALL[1:],
    ]  # fmt: skip
    done([program, "train", "--config-dir=mine", *chosen], tmp_path)
    run = only_run(tmp_path / "runs").relative_to(tmp_path)
    assert run.parts[1:5] == ("pairs", "distance", "filter", "half_share0.25")
    assert "dynamics 6" in (tmp_path / run / "lines.txt").read_text()
    metrics = "metrics=[si_sdr,mine.code.Peak]"
    output = done([program, "evaluate", f"run={run}", "trust=mine", metrics], tmp_path)
    assert "highest peak" in output
    done([program, "figures", f"{run}/dynamics.csv"], tmp_path)
    assert (tmp_path / "figures" / "figure1.png").is_file()
    assert (tmp_path / "figures" / "index.html").is_file()


def test_without_a_checkout_what_only_that_has_is_one_line(installed, tmp_path):
    program = installed / "autoclip-sep"
    output = done([program, "figures"], tmp_path, check=2)
    assert output.endswith("add runs=FOLDER (the README's are in a checkout only)\n")
    assert output.count("\n") == 1
