"""The doctor: each fault is found and comes with its remedy, on a broken installation too."""

import ast
import importlib.util
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
import torchvision

from vlpt_d2.cli import doctor
from vlpt_d2.cli.checks import data, installation, machine
from vlpt_d2.cli.checks.finding import Finding, Level
from vlpt_d2.cli.main import main
from vlpt_d2.data.datasets.builtin import BENCHMARKS

REPOSITORY = Path(__file__).resolve().parents[2]


def _one(check) -> Finding:
    (finding,) = check()
    return finding


def test_this_installation_is_sound(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    assert main(["doctor"]) == 0
    report = capsys.readouterr().out
    assert f"torch: {torch.__version__}" in report
    assert "0 faults" in report
    assert "FAULT" not in report


@pytest.mark.parametrize(
    ("version", "level"),
    [((3, 10, 14), Level.FAULT), ((3, 11, 0), Level.OK), ((3, 14, 0), Level.NOTE)],
)
def test_python(monkeypatch, version, level):
    fake = types.SimpleNamespace(version_info=version)
    monkeypatch.setattr(installation, "sys", fake)
    assert _one(installation.check_python).level is level


def test_old_torch(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    finding = _one(installation.check_torch)
    assert finding.level is Level.FAULT
    assert "older than 2.6" in finding.text
    assert "pip install" in finding.remedy


def test_torch_that_does_not_load(monkeypatch):
    _break_import(monkeypatch, "torch", OSError("libcudart.so.13: cannot open shared object file"))
    finding = _one(installation.check_torch)
    assert finding.level is Level.FAULT
    assert "libcudart" in finding.text


def test_torchvision_of_another_torch(monkeypatch):
    def nms(*args):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(torchvision.ops, "nms", nms)
    finding = _one(installation.check_torchvision)
    assert finding.level is Level.FAULT
    assert "nms does not exist" in finding.text
    assert "reinstall both" in finding.remedy


@pytest.mark.parametrize("requirement", ["torch (==1.0.0)", "torch==1.0.0"])
def test_torchvision_whose_metadata_ask_for_another_torch(monkeypatch, requirement):
    monkeypatch.setattr(installation.metadata, "requires", lambda name: ["numpy", requirement])
    finding = _one(installation.check_torchvision)
    assert finding.level is Level.FAULT
    assert "built for torch 1.0.0" in finding.text


def test_missing_detectron2(monkeypatch):
    _break_import(monkeypatch, "detectron2", ModuleNotFoundError("no", name="detectron2"))
    finding = _one(installation.check_detectron2)
    assert finding.level is Level.FAULT
    assert "--no-build-isolation" in finding.remedy
    assert "sal-detectron2" in finding.remedy


def test_detectron2_without_one_of_its_requirements(monkeypatch):
    _break_import(monkeypatch, "detectron2", ModuleNotFoundError("no", name="omegaconf"))
    assert "pip install omegaconf" in _one(installation.check_detectron2).remedy


@pytest.mark.parametrize("there", [True, False])
def test_pkg_resources_is_never_a_fault(monkeypatch, there):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if there else None)
    finding = _one(installation.check_model_zoo)
    assert finding.level is (Level.OK if there else Level.NOTE)
    assert ("setuptools<81" in finding.remedy) is not there


def test_opencv_without_libgl(monkeypatch):
    error = ImportError("libGL.so.1: cannot open shared object file", name="cv2")
    _break_import(monkeypatch, "cv2", error)
    finding = _one(installation.check_opencv)
    assert finding.level is Level.FAULT
    assert "opencv-python-headless" in finding.remedy


def test_missing_and_old_requirements(monkeypatch):
    wanted = {"no_such_module": ("no-such-package", 1), "numpy": ("numpy", 99)}
    monkeypatch.setattr(installation, "REQUIREMENTS", wanted)
    missing, old = installation.check_requirements()
    assert missing.remedy == "pip install no-such-package"
    assert "'numpy>=99'" in old.remedy
    assert missing.level is old.level is Level.FAULT


def test_requirements_are_those_of_setup_py():
    tree = ast.parse((REPOSITORY / "setup.py").read_text("utf-8"))
    (listed,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "INSTALL_REQUIRES"
    )
    names = {re.split("[<>=]", requirement)[0] for requirement in listed}
    own_checks = {"torch", "torchvision", "opencv-python"}
    assert names == own_checks | {package for package, _ in installation.REQUIREMENTS.values()}


def test_threads(monkeypatch):
    monkeypatch.setattr(machine, "available_cores", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    finding = _one(machine.check_threads)
    assert finding.level is Level.NOTE
    assert finding.remedy == "export OMP_NUM_THREADS=2"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert _one(machine.check_threads).level is Level.OK


def test_container_quota(tmp_path):
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert machine._cgroup_quota(str(tmp_path)) == 1.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine._cgroup_quota(str(tmp_path)) is None
    assert machine._cgroup_quota(str(tmp_path / "none")) is None


def test_gpu_is_found_or_noted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    finding = _one(machine.check_gpu)
    assert finding.level is Level.NOTE
    assert "cannot use it" in finding.text
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    fake = types.SimpleNamespace(name="Some GPU", total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: fake)
    assert _one(machine.check_gpu).text == "0: Some GPU, 80 GiB"


def test_datasets(monkeypatch, tmp_path):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "nowhere"))
    finding = _one(data.check_datasets)
    assert finding.level is Level.FAULT
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    finding = _one(data.check_datasets)
    assert finding.level is Level.NOTE
    assert "datasets/README.md" in finding.remedy
    folders = data.DATASET_FOLDERS["ICDAR2015"]
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    for folder in folders[:-1]:
        (tmp_path / folder / "file").touch()
    finding = _one(data.check_datasets)
    assert finding.remedy == f"missing or empty: {folders[-1]}"
    (tmp_path / folders[-1] / "file").touch()
    assert _one(data.check_datasets).level is Level.OK
    monkeypatch.delenv("DETECTRON2_DATASETS")
    monkeypatch.chdir(tmp_path)
    assert "DETECTRON2_DATASETS is not set" in next(iter(data.check_datasets())).text


def test_real_datasets(monkeypatch, icdar2015_root):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(icdar2015_root.parent))
    findings = {finding.subject: finding for finding in data.check_datasets()}
    assert findings["ICDAR2015"].level is Level.OK


def test_other_datasets_are_told_of_where_they_are(monkeypatch, tmp_path):
    assert set(data.OTHER_DATASETS.values()) | {"synthtext"} == {b[0] for b in BENCHMARKS.values()}
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    (tmp_path / "total_text").mkdir()
    (tmp_path / "synthtext/index").mkdir(parents=True)
    findings = {finding.subject: finding for finding in data.check_datasets()}
    assert set(findings) == {"ICDAR2015", "Total-Text", "SynthText"}
    assert findings["SynthText"].level is Level.NOTE
    assert "prepare_synthtext.py" in findings["SynthText"].remedy
    (tmp_path / "synthtext/index/meta.json").write_text("{}")
    findings = {finding.subject: finding for finding in data.check_datasets()}
    assert findings["SynthText"].level is Level.OK


def test_missing_package_data(monkeypatch, tmp_path):
    monkeypatch.setattr(data, "_PACKAGE", tmp_path)
    monkeypatch.setattr("vlpt_d2.model_zoo.configs._PACKAGE", tmp_path / "vlpt_d2")
    monkeypatch.setattr("vlpt_d2.model_zoo.models._FOLDER", tmp_path)
    assert [f.level for f in data.check_package_data()] == [Level.FAULT] * 3


def test_a_check_that_fails_itself_is_a_fault(monkeypatch, capsys):
    def check_weather():
        raise ZeroDivisionError("rain")
        yield

    monkeypatch.setattr(doctor, "CHECKS", (check_weather,))
    assert main(["doctor"]) == 1
    assert "FAULT weather: ZeroDivisionError: rain" in capsys.readouterr().out


def _broken_installation(folder: Path, modules: dict[str, str], code: str):
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    start = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(REPOSITORY)!r}]\n"
    return subprocess.run(
        [sys.executable, "-c", start + code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


def test_runs_where_the_libraries_are_broken(tmp_path):
    modules = {
        "torchvision": "raise RuntimeError('operator torchvision::nms does not exist')",
        "detectron2": "raise ModuleNotFoundError('No module', name='detectron2')",
        "cv2": "raise ImportError('libGL.so.1: cannot open shared object file')",
    }
    code = (
        "from vlpt_d2.cli.main import main\n"
        "print('status', main(['doctor']))\n"
        "print('status', main(['train', '--config-file', 'x.yaml']))\n"
    )
    result = _broken_installation(tmp_path, modules, code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("status 1") == 2
    assert "FAULT torchvision: does not fit this torch: operator" in result.stdout
    assert "FAULT detectron2: not installed" in result.stdout
    assert "FAULT OpenCV: needs a system library" in result.stdout
    assert "FAULT vlpt_d2: cannot be used" in result.stdout
    assert "Run 'vlpt-d2 doctor' for the remedy" in result.stderr


def test_runs_without_torch(tmp_path):
    modules = {"torch": "raise ModuleNotFoundError('No module', name='torch')"}
    code = "from vlpt_d2.cli.main import main; sys.exit(main(['doctor']))"
    result = _broken_installation(tmp_path, modules, code)
    assert result.returncode == 1, result.stderr
    assert "FAULT torch: not installed" in result.stdout
    assert "FAULT torchvision: cannot be checked without torch" in result.stdout


def _break_import(monkeypatch, name: str, error: Exception):
    class Finder:
        @staticmethod
        def find_spec(fullname, path=None, target=None):
            if fullname == name:
                raise error

    monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
