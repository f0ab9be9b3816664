"""Checks of Python and of the libraries, each imported inside its own check."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata

from .finding import Finding

__all__ = [
    "check_detectron2",
    "check_extras",
    "check_model_zoo",
    "check_opencv",
    "check_plugin",
    "check_python",
    "check_requirements",
    "check_torch",
    "check_torchvision",
]

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
OLDEST_TORCH = (2, 6)
# Requirements without a check of their own: module -> package, oldest major version. They are
# looked up, not imported: some take seconds.
REQUIREMENTS = {
    "numpy": ("numpy", 1),
    "scipy": ("scipy", 1),
    "shapely": ("shapely", 2),
    "PIL": ("pillow", 9),
    "transformers": ("transformers", 4),
    "safetensors": ("safetensors", 0),
    "yaml": ("pyyaml", 5),
    "fvcore": ("fvcore", 0),
    "iopath": ("iopath", 0),
    "yacs": ("yacs", 0),
    "omegaconf": ("omegaconf", 2),
    "hydra": ("hydra-core", 1),
    "cloudpickle": ("cloudpickle", 0),
    "termcolor": ("termcolor", 0),
    "packaging": ("packaging", 0),
    "pycocotools": ("pycocotools", 2),
    "matplotlib": ("matplotlib", 3),
    "tensorboard": ("tensorboard", 2),
    "tabulate": ("tabulate", 0),
    "tqdm": ("tqdm", 4),
    "filelock": ("filelock", 4),
}
INSTALL_TORCH = "pip install --upgrade torch torchvision"
INSTALL_PAIR = (
    "torch and torchvision have to come from the same place and release; reinstall both at once:\n"
    "pip install --force-reinstall torch torchvision   (both from the same package index)"
)
INSTALL_DETECTRON2 = (
    "from source, after torch (needs a compiler):\n"
    "pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2.git'\n"
    "or without a compiler, its Python part alone, which is all vlpt_d2 needs:\n"
    "pip install --no-deps --only-binary=:all: --python-version 3.10 --implementation cp "
    f"--abi none --platform any --target '{sysconfig.get_path('purelib')}' "
    "sal-detectron2==0.7.2"
)


def check_python() -> Iterator[Finding]:
    """Python's version."""
    version = sys.version_info[:2]
    text = ".".join(map(str, sys.version_info[:3]))
    if version < OLDEST_PYTHON:
        yield Finding.fault("Python", text, "use Python 3.11, 3.12 or 3.13")
    elif version > NEWEST_PYTHON:
        yield Finding.note("Python", f"{text} is newer than what vlpt_d2 is tested with (3.13)")
    else:
        yield Finding.ok("Python", text)


def check_torch() -> Iterator[Finding]:
    """torch is there, loads, and is new enough."""
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        yield Finding.fault("torch", "not installed", INSTALL_TORCH)
        return
    except (ImportError, OSError) as error:
        yield Finding.fault(
            "torch",
            f"does not load: {error}",
            "its libraries are incomplete or of another system; reinstall it:\n"
            "pip install --force-reinstall torch torchvision",
        )
        return
    if _numbers(torch.__version__) < OLDEST_TORCH:
        yield Finding.fault("torch", f"{torch.__version__} is older than 2.6", INSTALL_TORCH)
    else:
        yield Finding.ok("torch", torch.__version__)


def check_torchvision() -> Iterator[Finding]:
    """torchvision is there, was built for this torch, and its operators work."""
    try:
        import torch
        import torchvision
        from torchvision.ops import nms

        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    except ModuleNotFoundError as error:
        if error.name == "torch":
            yield Finding.fault("torchvision", "cannot be checked without torch")
        elif error.name == "torchvision":
            yield Finding.fault("torchvision", "not installed", INSTALL_TORCH)
        else:
            raise
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        # "operator torchvision::nms does not exist": its compiled part did not load, as that was
        # built for another torch. The Python part may then fail in several other ways.
        yield Finding.fault("torchvision", f"does not fit this torch: {error}", INSTALL_PAIR)
    else:
        wanted, installed = _required_torch(), torch.__version__.partition("+")[0]
        if wanted is not None and wanted != installed:
            text = f"{torchvision.__version__} was built for torch {wanted}, not for {installed}"
            yield Finding.fault("torchvision", text, INSTALL_PAIR)
        else:
            yield Finding.ok("torchvision", torchvision.__version__)


def check_detectron2() -> Iterator[Finding]:
    """detectron2's Python part; vlpt_d2 does not need the compiled one."""
    try:
        detectron2 = importlib.import_module("detectron2")
        for part in ("config", "layers", "modeling", "data"):
            importlib.import_module(f"detectron2.{part}")
    except ModuleNotFoundError as error:
        if error.name == "detectron2":
            yield Finding.fault("detectron2", "not installed", INSTALL_DETECTRON2)
        else:
            yield Finding.fault(
                "detectron2", f"needs {error.name}, not installed", f"pip install {error.name}"
            )
        return
    except Exception as error:
        remedy = "mend the faults above first; they may be the cause"
        yield Finding.fault("detectron2", f"{type(error).__name__}: {error}", remedy)
        return
    compiled = importlib.util.find_spec("detectron2._C") is not None
    kind = "with its compiled part" if compiled else "Python part (all that vlpt_d2 needs)"
    yield Finding.ok("detectron2", f"{detectron2.__version__}, {kind}")


def check_model_zoo() -> Iterator[Finding]:
    """``pkg_resources``, which detectron2's own model zoo needs and new setuptools lack."""
    if importlib.util.find_spec("pkg_resources") is None:
        yield Finding.note(
            "setuptools",
            f"{_version('setuptools') or 'not installed'}, without pkg_resources: "
            "detectron2.model_zoo cannot be imported (vlpt_d2 does not need it)",
            "only if you want detectron2's own zoo: pip install 'setuptools<81'",
        )
    else:
        yield Finding.ok("setuptools", f"{_version('setuptools')}, with pkg_resources")


def check_opencv() -> Iterator[Finding]:
    """OpenCV loads, and only one of its packages is there."""
    headless = "pip uninstall -y opencv-python && pip install opencv-python-headless"
    try:
        import cv2
    except ModuleNotFoundError as error:
        if error.name != "cv2":
            raise
        yield Finding.fault("OpenCV", "not installed", "pip install opencv-python-headless")
        return
    except ImportError as error:
        if any(name in str(error) for name in ("libGL", "libgthread", "libglib", "libX", "libSM")):
            text = f"needs a system library for windows: {error}"
            yield Finding.fault("OpenCV", text, headless)
        else:
            yield Finding.fault("OpenCV", f"does not load: {error}", headless)
        return
    names = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")
    packages = [name for name in names if _version(name)]
    if len(packages) > 1:
        yield Finding.note(
            "OpenCV",
            f"{' and '.join(packages)} overwrite each other's files",
            f"pip uninstall -y {' '.join(packages)} && pip install opencv-python-headless",
        )
    else:
        yield Finding.ok("OpenCV", cv2.__version__)


def check_requirements() -> Iterator[Finding]:
    """The other requirements: there, and of the right major version."""
    found, missing, old = [], [], []
    for module, (package, oldest) in REQUIREMENTS.items():
        if importlib.util.find_spec(module) is None:
            missing.append(package)
            continue
        version = _version(package)
        found.append(package)
        if version is not None and _numbers(version)[0] < oldest:
            old.append(f"{package}>={oldest}")
    if missing:
        yield Finding.fault(
            "requirements",
            f"not installed: {', '.join(missing)}",
            f"pip install {' '.join(missing)}",
        )
    if old:
        quoted = " ".join(f"'{name}'" for name in old)
        yield Finding.fault("requirements", f"too old: {old}", f"pip install --upgrade {quoted}")
    if not missing and not old:
        yield Finding.ok("requirements", f"all {len(found)} others installed")


def check_plugin() -> Iterator[Finding]:
    """The plugin itself can be imported, and all its parts register themselves."""
    import vlpt_d2

    try:
        vlpt_d2.load_parts()
    except Exception as error:  # whatever a broken library raises
        yield Finding.fault(
            "vlpt_d2", f"cannot be used: {type(error).__name__}: {error}", "fix the faults above"
        )
    else:
        yield Finding.ok("vlpt_d2", f"{vlpt_d2.__version__}, all parts registered")


def check_extras() -> Iterator[Finding]:
    """What only some commands need."""
    fonts = {entry.name for entry in metadata.entry_points(group="fonts_ttf")}
    if importlib.util.find_spec("wordfreq") is None or not fonts:
        yield Finding.note(
            "extra render",
            "no word list or no fonts beyond matplotlib's; rendered text is less varied",
            "pip install 'vlpt-d2[render]'",
        )
    else:
        yield Finding.ok("extra render", f"word list and {len(fonts)} font families")


def _required_torch() -> str | None:
    """The exact torch release that torchvision's metadata ask for, as in "torch (==2.13.0)"."""
    try:
        requirements = metadata.requires("torchvision") or []
    except metadata.PackageNotFoundError:
        return None
    for requirement in requirements:
        name = requirement.replace("(", " ").replace("=", " ", 1).split()[0]
        if name == "torch" and "==" in requirement:
            return requirement.partition("==")[2].strip(" );").partition("+")[0]
    return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """(major, minor) of a version; parts that are no numbers count as 0."""
    parts = version.partition("+")[0].split(".")[:2]
    return tuple(int(p) if p.isdigit() else 0 for p in parts)
