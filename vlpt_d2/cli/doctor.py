"""Check the installation, the machine and the data, and print how to fix faults.

The exit status is 1 if something stops training; notes do not."""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from ..utils.environment import data_root, usable_cores
from ..utils.names import counted

# Libraries are imported inside the checks: the verb runs where they are missing or broken.
INSTALL_TORCH = "pip install --upgrade torch torchvision"
INSTALL_PAIR = (
    "torch and torchvision have to come from the same place and release; reinstall both at once:\n"
    "pip install --force-reinstall torch torchvision   (both from the same package index)"
)
INSTALL_DETECTRON2 = (
    "from source, after torch (needs a compiler):\n"
    "pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2.git'\n"
    "or without a compiler, its Python part, which is all vlpt_d2 needs:\n"
    "pip install --no-deps --only-binary=:all: --python-version 3.10 --implementation cp "
    f"--abi none --platform any --target '{sysconfig.get_path('purelib')}' "
    "sal-detectron2==0.7.2"
)
INSTALL_HEADLESS = "pip uninstall -y opencv-python && pip install opencv-python-headless"
_PACKAGE = Path(__file__).resolve().parents[1]
# Packages that have another name than what is imported from them.
_PACKAGES = {"PIL": "pillow", "yaml": "pyyaml", "cv2": "opencv-python-headless"}
REINSTALL = "the installation is incomplete: pip install --force-reinstall --no-deps vlpt-d2"


class Finding(NamedTuple):
    """What was found.

    Attributes:
        level: "ok"; "note": training works; "FAULT": training does not work.
        subject: what was looked at.
        text: what was found.
        fix: what to do, mostly a command; lines separated by newlines.
    """

    level: str
    subject: str
    text: str
    fix: str = ""


def check_torch() -> Iterator[Finding]:
    """torch is installed and loads."""
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        yield Finding("FAULT", "torch", "not installed", INSTALL_TORCH)
    except (ImportError, OSError) as error:
        yield Finding("FAULT", "torch", f"does not load: {error}", INSTALL_PAIR)
    else:
        yield Finding("ok", "torch", torch.__version__)


def check_torchvision() -> Iterator[Finding]:
    """torchvision is installed, was built for this torch, and its operators work."""
    try:
        import torch
        import torchvision
        from torchvision.ops import nms

        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    except ModuleNotFoundError as error:
        if error.name == "torch":
            yield Finding("FAULT", "torchvision", "cannot be checked without torch")
        elif error.name == "torchvision":
            yield Finding("FAULT", "torchvision", "not installed", INSTALL_TORCH)
        else:
            raise
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        # "operator torchvision::nms does not exist": its compiled part did not load, as that was
        # built for another torch. The Python part may then fail in several other ways.
        yield Finding("FAULT", "torchvision", f"does not fit this torch: {error}", INSTALL_PAIR)
    else:
        yield Finding("ok", "torchvision", torchvision.__version__)


def check_detectron2() -> Iterator[Finding]:
    """detectron2's Python part loads; vlpt_d2 does not need the compiled one."""
    try:
        detectron2 = importlib.import_module("detectron2")
        for part in ("config", "layers", "modeling", "data"):
            importlib.import_module(f"detectron2.{part}")
    except ModuleNotFoundError as error:
        if error.name != "detectron2":
            raise
        yield Finding("FAULT", "detectron2", "not installed", INSTALL_DETECTRON2)
    except Exception as error:
        fix = "fix the faults above first; they may be the cause"
        yield Finding("FAULT", "detectron2", f"{type(error).__name__}: {error}", fix)
    else:
        yield Finding("ok", "detectron2", detectron2.__version__)


def check_opencv() -> Iterator[Finding]:
    """OpenCV loads, and only one of its packages is installed."""
    try:
        import cv2
    except ModuleNotFoundError as error:
        if error.name != "cv2":
            raise
        yield Finding("FAULT", "OpenCV", "not installed", "pip install opencv-python-headless")
        return
    except ImportError as error:
        libraries = ("libGL", "libgthread", "libglib", "libX", "libSM")
        windows = any(name in str(error) for name in libraries)
        what = "needs a system library for GUI windows" if windows else "does not load"
        yield Finding("FAULT", "OpenCV", f"{what}: {error}", INSTALL_HEADLESS)
        return
    names = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")
    packages = [name for name in names if _version(name)]
    if len(packages) > 1:
        yield Finding(
            "note",
            "OpenCV",
            f"{' and '.join(packages)} overwrite each other's files",
            f"pip uninstall -y {' '.join(packages)} && pip install opencv-python-headless",
        )
    else:
        yield Finding("ok", "OpenCV", cv2.__version__)


def check_requirements() -> Iterator[Finding]:
    """The requirements of the installed package, by their versions."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("vlpt-d2") or []
    except metadata.PackageNotFoundError:
        text = "vlpt-d2 is used without being installed; its requirements are not checked"
        yield Finding("note", "requirements", text, "pip install -e .   (in the checkout)")
        return
    wanted = [Requirement(line) for line in lines]
    # Extras are for some commands only; OpenCV has several packages and a check of its own.
    wanted = [r for r in wanted if "extra ==" not in str(r.marker) and r.name != "opencv-python"]
    versions = {r: _version(r.name) for r in wanted}
    # An empty specifier contains whatever it is asked for.
    unmet = {r: v for r, v in versions.items() if v is None or not r.specifier.contains(v, True)}
    for requirement, version in unmet.items():
        text = f"{requirement} is required, {version or 'none'} is installed"
        fix = f"pip install --upgrade '{requirement}'"
        yield Finding("FAULT", "requirements", text, fix)
    if not unmet:
        yield Finding("ok", "requirements", f"all {len(wanted)} installed")


def check_plugin() -> Iterator[Finding]:
    """The plugin itself can be imported, and all its parts register themselves."""
    import vlpt_d2

    try:
        vlpt_d2.load_parts()
    except Exception as error:
        text = f"cannot be used: {type(error).__name__}: {error}"
        yield Finding("FAULT", "vlpt_d2", text, "fix the faults above")
    else:
        yield Finding("ok", "vlpt_d2", f"{vlpt_d2.__version__}, all parts registered")


def check_render_extra() -> Iterator[Finding]:
    """Words and fonts for rendered text."""
    fonts = {entry.name for entry in metadata.entry_points(group="fonts_ttf")}
    if _version("wordfreq") is None or not fonts:
        text = "no word list or no fonts beyond matplotlib's; rendered text is less varied"
        yield Finding("note", "extra render", text, "pip install 'vlpt-d2[render]'")
    else:
        yield Finding("ok", "extra render", f"word list and {len(fonts)} font families")


def check_gpu() -> Iterator[Finding]:
    """What training would run on."""
    try:
        import torch
    except (ImportError, OSError):
        yield Finding("note", "GPU", "cannot be checked without torch")
        return
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            gpu = torch.cuda.get_device_properties(index)
            text = f"{index}: {gpu.name}, {gpu.total_memory / 2**30:.0f} GiB"
            yield Finding("ok", "GPU", text)
    elif shutil.which("nvidia-smi") or os.path.exists("/proc/driver/nvidia/version"):
        built = "a CPU-only build" if torch.version.cuda is None else f"CUDA {torch.version.cuda}"
        text = f"torch ({built}) cannot use the NVIDIA driver; training runs on the CPU"
        fix = "install torch and torchvision built for the driver's CUDA version (nvidia-smi)"
        yield Finding("note", "GPU", text, fix)
    else:
        text = "none; training runs on the CPU, fast enough for the quickstart only"
        yield Finding("note", "GPU", text)


def check_threads() -> Iterator[Finding]:
    """Threads against free cores: too many of them slow training down tenfold."""
    cores = usable_cores()
    named = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(named) if named.isdigit() else cores
    if threads > cores:
        text = f"OMP_NUM_THREADS is {threads} for {cores} cores: more threads than cores are slow"
        yield Finding("note", "threads", text, f"export OMP_NUM_THREADS={cores}")
    else:
        yield Finding("ok", "threads", f"{threads} for {cores} cores")


def check_package_data() -> Iterator[Finding]:
    """Configs, vocabulary and weights are part of the installation."""
    from vlpt_d2 import model_zoo

    configs, models = model_zoo.list_configs(), model_zoo.list_models()
    try:
        if not configs:
            raise FileNotFoundError(f"no configs in {model_zoo.config_root()}")
        vocabulary = _PACKAGE / "data" / "text" / "assets" / "bert_base_uncased_vocab.txt"
        vocabulary.stat()
        for name in models:
            if model_zoo.get(name).is_shipped:
                model_zoo.get_checkpoint(name)
    except (OSError, ValueError) as error:
        yield Finding("FAULT", "package files", str(error), REINSTALL)
    else:
        text = f"{len(configs)} configs, vocabulary and weights in {_PACKAGE}"
        yield Finding("ok", "package files", text)


def check_datasets() -> Iterator[Finding]:
    """The folders of the known datasets; none is needed for rendered text."""
    from ..data.datasets.builtin import BUILTIN, DATASETS
    from ..data.datasets.dataset import missing_files

    root = data_root().absolute()
    if not root.is_dir():
        level = "FAULT" if os.environ.get("DETECTRON2_DATASETS") else "note"
        fix = "export DETECTRON2_DATASETS=/folder/of/your/datasets, or train on rendered text"
        yield Finding(level, "datasets", f"{root} is not a folder", fix)
        return
    found = [name for name in DATASETS if (root / name).is_dir()]
    if found:
        text = f"{', '.join(found)} in {root}"
        yield Finding("ok", "datasets", text, "vlpt-d2 data check DATASET reads all of one")
    else:
        text = f"none in {root}; rendered text needs no data"
        yield Finding("note", "datasets", text, "datasets/README.md lists where to get them")
    for name in found:
        dataset = DATASETS[name]
        if dataset.index and not (root / name / dataset.index).is_file():
            fix = dataset.next_step.format(root=root / name)
            yield Finding("note", dataset.title, "not indexed yet", fix)
        # The reader of a plugin may read all of it.
        elif dataset in BUILTIN and not dataset.index and (missing := missing_files(dataset, root)):
            text = "; ".join(f"{split} is incomplete: {what}" for split, what in missing.items())
            fix = "datasets/README.md shows the files; splits that you do not use need none"
            yield Finding("note", dataset.title, text, fix)


# In the order of the report; later ones may rest on what earlier ones found.
CHECKS = (
    check_torch,
    check_torchvision,
    check_detectron2,
    check_opencv,
    check_requirements,
    check_plugin,
    check_render_extra,
    check_gpu,
    check_threads,
    check_package_data,
    check_datasets,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--versions", action="store_true", help="print detectron2's table of versions too"
    )


def run(args: argparse.Namespace) -> int:
    """Print every finding and how to fix it; return 1 if one of them stops training."""
    levels: Counter[str] = Counter()
    for finding in examine():
        levels[finding.level] += 1
        print(f"{finding.level:5} {finding.subject}: {finding.text}")
        for line in finding.fix.splitlines():
            print(f"      -> {line}")
    faults = levels["FAULT"]
    print(f"\n{counted(faults, 'fault')}, {counted(levels['note'], 'note')}")
    if faults:
        print("Training cannot run until the faults are fixed.")
    if args.versions:
        from detectron2.utils.collect_env import collect_env_info

        print(f"\n{collect_env_info()}")
    return 1 if faults else 0


def examine() -> Iterator[Finding]:
    """Run all checks; one that fails itself is a fault of what it looked at."""
    for check in CHECKS:
        try:
            yield from check()
        except ModuleNotFoundError as error:
            package = _PACKAGES.get(str(error.name), error.name)
            text = f"needs {error.name}, not installed"
            yield Finding("FAULT", _subject(check), text, f"pip install {package}")
        except Exception as error:
            yield Finding("FAULT", _subject(check), f"{type(error).__name__}: {error}")


def _subject(check: Callable[[], Iterator[Finding]]) -> str:
    return check.__name__.removeprefix("check_")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
