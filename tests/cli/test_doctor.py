"""The doctor: each fault is found and comes with its fix, on a broken installation too."""

import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
import torchvision
from helpers.miniatures import MINIATURES

from vlpt_d2.cli import doctor
from vlpt_d2.cli.doctor import Finding
from vlpt_d2.cli.main import main

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


def test_torch_that_does_not_load(monkeypatch):
    _break_import(monkeypatch, "torch", OSError("libcudart.so.13: cannot open shared object file"))
    finding = _one(doctor.check_torch)
    assert finding.level == "FAULT"
    assert "libcudart" in finding.text


def test_torchvision_of_another_torch(monkeypatch):
    def nms(*args):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(torchvision.ops, "nms", nms)
    finding = _one(doctor.check_torchvision)
    assert finding.level == "FAULT"
    assert "nms does not exist" in finding.text
    assert "reinstall both" in finding.fix


def test_missing_detectron2(monkeypatch):
    _break_import(monkeypatch, "detectron2", ModuleNotFoundError("no", name="detectron2"))
    finding = _one(doctor.check_detectron2)
    assert finding.level == "FAULT"
    assert "--no-build-isolation" in finding.fix
    assert "sal-detectron2" in finding.fix


@pytest.mark.parametrize(
    "module, package", [("omegaconf", "omegaconf"), ("PIL", "pillow"), ("yaml", "pyyaml")]
)
def test_detectron2_without_one_of_its_requirements(monkeypatch, module, package):
    _break_import(monkeypatch, "detectron2", ModuleNotFoundError("no", name=module))
    monkeypatch.setattr(doctor, "CHECKS", (doctor.check_detectron2,))
    finding = _one(doctor.examine)
    assert finding.subject == "detectron2" and module in finding.text
    assert finding.fix == f"pip install {package}"


def test_opencv_without_libgl(monkeypatch):
    error = ImportError("libGL.so.1: cannot open shared object file", name="cv2")
    _break_import(monkeypatch, "cv2", error)
    finding = _one(doctor.check_opencv)
    assert finding.level == "FAULT"
    assert "opencv-python-headless" in finding.fix


def test_missing_and_old_requirements(monkeypatch):
    lines = ["no-such-package>=1", "numpy>=99", "pillow", 'also-missing; extra == "render"', "gone"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: lines)
    missing, old, gone = doctor.check_requirements()
    assert missing.fix == "pip install --upgrade 'no-such-package>=1'"
    assert "none is installed" in missing.text
    assert "'numpy>=99'" in old.fix
    assert gone.text == "gone is required, none is installed"
    assert missing.level == old.level == gone.level == "FAULT"


def test_without_metadata_requirements_are_not_checked(monkeypatch):
    def requires(name):
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "requires", requires)
    assert _one(doctor.check_requirements).level == "note"


def test_threads(monkeypatch):
    monkeypatch.setattr(doctor, "usable_cores", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    finding = _one(doctor.check_threads)
    assert finding.level == "note"
    assert finding.fix == "export OMP_NUM_THREADS=2"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert _one(doctor.check_threads).level == "ok"


def test_gpu_is_found_or_noted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    finding = _one(doctor.check_gpu)
    assert finding.level == "note"
    assert "cannot use the NVIDIA driver" in finding.text
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    fake = types.SimpleNamespace(name="Some GPU", total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: fake)
    assert _one(doctor.check_gpu).text == "0: Some GPU, 80 GiB"


def test_datasets(monkeypatch, tmp_path):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "nowhere"))
    assert _one(doctor.check_datasets).level == "FAULT"
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    finding = _one(doctor.check_datasets)
    assert finding.level == "note"
    assert "datasets/README.md" in finding.fix
    (tmp_path / "icdar2015").mkdir()
    (tmp_path / "total_text").mkdir()
    finding, *incomplete = doctor.check_datasets()
    assert finding.level == "ok"
    assert finding.text == f"icdar2015, total_text in {tmp_path}"
    assert [(f.level, f.subject) for f in incomplete] == [
        ("note", "ICDAR2015"),
        ("note", "Total-Text"),
    ]
    monkeypatch.delenv("DETECTRON2_DATASETS")
    monkeypatch.chdir(tmp_path)
    finding = _one(doctor.check_datasets)
    assert finding.level == "note"
    assert finding.text == f"{tmp_path / 'datasets'} is not a folder"


@pytest.mark.parametrize(
    "name, lost, message",
    [
        ("icdar2015_train", "*_training_localization*/gt_img_3.txt", "gt_img_3.txt: no ground"),
        ("icdar2015_test", "ch4_test_images/img_2.jpg", "1 label files without an image, such as"),
        ("total_text_train", "Groundtruth/Polygon/Train/*", "no ground truth for"),
        ("lsvt_train", "train_full_labels.json", "train_full_labels.json: no such file"),
        ("textocr_val", "train_images/*.jpg", "train_images: holds no .jpg"),
    ],
)
def test_incomplete_datasets(monkeypatch, tmp_path, name, lost, message):
    """Files are looked for; none is read, so they may be damaged."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    dataset, _, split = name.rpartition("_")
    MINIATURES[name](tmp_path)
    for path in tmp_path.rglob("*.*"):
        path.write_bytes(b"")
    _, *notes = doctor.check_datasets()
    assert not any(f"{split} is" in note.text for note in notes)
    for path in (tmp_path / dataset).glob(lost):
        path.unlink()
    _, note = doctor.check_datasets()
    assert note.level == "note" and f"{split} is incomplete: " in note.text and message in note.text


def test_synthtext_without_its_index(monkeypatch, tmp_path):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    (tmp_path / "synthtext/index").mkdir(parents=True)
    found, index = doctor.check_datasets()
    assert (found.level, index.level) == ("ok", "note")
    assert "prepare_synthtext.py" in index.fix
    (tmp_path / "synthtext/index/meta.json").write_text("{}")
    assert _one(doctor.check_datasets).level == "ok"


@pytest.mark.parametrize("part", ["package", "configs", "weights"])
def test_missing_package_data(monkeypatch, tmp_path, part):
    target = {
        "package": "vlpt_d2.cli.doctor._PACKAGE",
        "configs": "vlpt_d2.model_zoo.configs._PACKAGE",
        "weights": "vlpt_d2.model_zoo.models._FOLDER",
    }[part]
    monkeypatch.setattr(target, tmp_path / "vlpt_d2")
    finding = _one(doctor.check_package_data)
    assert finding.level == "FAULT" and str(tmp_path) in finding.text


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
    assert "Run 'vlpt-d2 doctor' to see how to fix it" in result.stderr


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
