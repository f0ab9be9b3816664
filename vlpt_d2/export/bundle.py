"""A folder with all that finding texts needs: network, settings, and the modules that decode."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

from ..utils.atomic import write_json, write_text
from .detector import ExportError, open_onnx

__all__ = ["PACKAGE", "check_folder", "write_bundle"]

#: The package that a bundle holds, a part of this one.
PACKAGE = "text_detector"

_ROOT = Path(__file__).resolve().parents[1]
_INIT = f'''"""Finds the texts of images, without torch and detectron2.

    from {PACKAGE} import open_detector

    (texts,) = open_detector()([rgb])  # an (H, W, 3) uint8 array
    print(texts.polygons, texts.scores)

Finding needs onnxruntime, numpy, OpenCV, shapely and Pillow; decoding maps of another runtime
({PACKAGE}.modeling.detection) does without onnxruntime and Pillow.
"""

from pathlib import Path

from .export.detector import Detector, open_onnx


def open_detector(threads: int = 0) -> Detector:
    """Open the network of this bundle; 0 threads: as onnxruntime chooses."""
    return open_onnx(str(Path(__file__).resolve().parents[1] / "model.onnx"), threads)
'''
_SCRIPT = f'''"""Print the texts of images as JSON: python detect.py photo.jpg …"""

import json
import sys

from {PACKAGE} import open_detector
from {PACKAGE}.data.image_io import CorruptImageError, read_image

detector, status = open_detector(), 0
for path in sys.argv[1:]:
    try:
        image = read_image(path, path)
    except (OSError, CorruptImageError) as error:
        print(error, file=sys.stderr)
        status = 1
        continue
    (found,) = detector([image])
    texts = [
        {{"polygon": polygon.astype(float).round(2).tolist(), "score": round(float(score), 5)}}
        for polygon, score in zip(found.polygons, found.scores)
    ]
    print(json.dumps({{"file_name": path, "texts": texts}}))
sys.exit(status)
'''
_FILES = {"model.onnx", "settings.json", "detect.py", PACKAGE}


def check_folder(folder: Path) -> None:
    """Check that a bundle replaces nothing but an earlier one.

    Raises:
        ExportError: the folder holds other files, or is a file.
    """
    if folder.is_file():
        raise ExportError(f"{folder} is a file: name a new folder")
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if strangers := sorted(names - _FILES):
        raise ExportError(f"{folder} holds other files, such as {strangers[0]}: name a new folder")


def write_bundle(path: str | Path, folder: str | Path) -> None:
    """Make a folder of an exported ONNX file that works without this package.

    It holds ``model.onnx``, ``settings.json`` (what the file's metadata say), ``detect.py``, which
    prints the texts of images, and the package ``text_detector``: copies of the modules that
    ``TextPredictor(backend="onnx")`` runs.

    Args:
        path: of the file, see :func:`~.write.export_detector`.
        folder: is created; files of an earlier bundle in it are replaced.

    Raises:
        ExportError: the decoding of the detector is not in this package.
    """
    detector = open_onnx(str(path))
    decoder = detector.settings["decoder"]
    if decoder is None:
        raise ExportError(
            f"{detector.settings['head']} has no decode_maps in this package: export it as onnx, "
            "and decode its maps by its own package"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if Path(path) != folder / "model.onnx":
        shutil.copyfile(path, folder / "model.onnx")
    write_json(folder / "settings.json", _without_config(detector.settings))
    shutil.rmtree(folder / PACKAGE, ignore_errors=True)
    decoding = _ROOT / "modeling" / "detection" / decoder / "decode.py"
    reading = _ROOT / "data" / "image_io.py"
    for file in sorted(_needed([_ROOT / "export" / "detector.py", decoding, reading])):
        copy = folder / PACKAGE / file.relative_to(_ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        for parent in copy.relative_to(folder).parents[:-1]:
            init = folder / parent / "__init__.py"
            if not init.exists():
                init.touch()
    write_text(folder / PACKAGE / "__init__.py", _INIT)
    write_text(folder / "detect.py", _SCRIPT)


def _without_config(settings: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps({k: v for k, v in settings.items() if k != "config"}))


def _needed(files: list[Path]) -> set[Path]:
    """These modules of the package and all that they import of it."""
    found: set[Path] = set()
    while files:
        file = files.pop()
        if file in found:
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
                names = [base, *(base / alias.name for alias in node.names)]
                for name in names:
                    candidates = (name.with_suffix(".py"), name / "__init__.py")
                    files += [candidate for candidate in candidates if candidate.is_file()]
    return found
