"""A rendered corpus as files: ICDAR2015's format, and COCO's with the exact polygons.

The tree that is written, for image number n of the folder (counted from 1):

    images/img_<n>.jpg      the image
    gt/gt_img_<n>.txt       one word a line: the 8 integers of a quadrilateral, then the word
    coco.json               the words' exact polygons, in COCO's layout, with ``text``
    render.json             what was rendered: preset, settings, seed, first index, number, and
                            the fingerprint of words and fonts
"""

import json
import multiprocessing
import signal
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...structures import quadrilateral
from ...utils.atomic import write_text
from ...utils.json_lines import read_json_lines
from ...utils.locks import lock_folder
from ...utils.progress_bar import progress_bar
from ..conversion import coco_content
from .renderer import Rendering, renderer_of_spec
from .settings import resolve_settings

__all__ = ["CorpusOrder", "write_corpus"]

# Words of finished images; an interrupted run resumes after them.
_PROGRESS_FILE = "progress.jsonl"
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class CorpusOrder:
    """What to write: image n of the folder is image ``start_index + n - 1`` of the corpus."""

    preset: str
    settings: Mapping[str, Any]
    seed: int
    start_index: int
    count: int
    # "jpg" (quality 95) or "png" (lossless).
    image_format: str = "jpg"


def write_corpus(folder: str | Path, order: CorpusOrder, workers: int = 0) -> dict[str, int]:
    """Write a corpus, or what is missing of it; the files do not depend on ``workers``.

    Args:
        folder: where to; created where missing.
        order: what to write.
        workers: processes that render; 0 renders in this one.

    Returns:
        ``{"images": ..., "words": ..., "resumed": ...}``: images and words in the folder, and how
        many of the images were there before.

    Raises:
        ValueError: for impossible settings, or a folder that holds another corpus.
        FolderInUseError: another process writes to the folder.
    """
    resolve_settings(order.preset, order.settings)
    if order.image_format not in ("jpg", "png"):
        raise ValueError(f"images are written as jpg or png, not as {order.image_format!r}")
    with lock_folder(folder):
        return _write_corpus(Path(folder), order, workers)


def _write_corpus(folder: Path, order: CorpusOrder, workers: int) -> dict[str, int]:
    _claim(folder, order)
    for name in ("images", "gt"):
        (folder / name).mkdir(exist_ok=True)
    progress = folder / _PROGRESS_FILE
    if (folder / "coco.json").is_file() and not progress.is_file():
        coco = _read(folder / "coco.json", "images", "annotations")
        counts = {"images": len(coco["images"]), "words": len(coco["annotations"])}
        return {**counts, "resumed": counts["images"]}
    done = {record["number"]: record for record in read_json_lines(progress)}
    resumed = len(done)
    numbers = [n for n in range(1, order.count + 1) if n not in done]
    with (
        progress.open("a", encoding="utf-8") as file,
        progress_bar(order.count, resumed, desc=str(folder)) as bar,
    ):
        for record in _render_all(folder, order, numbers, workers):
            file.write(json.dumps(record) + "\n")
            file.flush()
            done[record["number"]] = record
            bar.update()
    coco = coco_content([done[number] for number in sorted(done)])
    write_text(folder / "coco.json", json.dumps(coco))
    progress.unlink()
    words = len(coco["annotations"])
    return {"images": len(coco["images"]), "words": words, "resumed": resumed}


def _claim(folder: Path, order: CorpusOrder) -> None:
    """Write down what the folder holds, or check that it holds the same."""
    spec = {"preset": order.preset, "settings": dict(order.settings)}
    fingerprint = renderer_of_spec(spec).fingerprint
    wanted = json.loads(json.dumps({**asdict(order), "fingerprint": fingerprint}))
    path = folder / "render.json"
    if not path.is_file():
        # Hidden files, such as the lock, are no content; nor is a record that was never finished.
        if any(not entry.name.startswith((".", path.name)) for entry in folder.iterdir()):
            raise ValueError(f"{folder} is not empty and has no render.json: name another folder")
        write_text(path, json.dumps(wanted, indent=1))
        return
    found = _read(path)
    differing = sorted(k for k in wanted | found if wanted.get(k) != found.get(k))
    if differing:
        raise ValueError(
            f"{folder} holds another corpus (different: {', '.join(differing)}; see {path}): "
            "name another folder, or delete this one"
        )


def _read(path: Path, *keys: str) -> dict[str, Any]:
    """What an earlier run has written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in keys):
        raise ValueError(f"{path} is damaged: name another folder, or delete this one")
    return content


def _render_all(
    folder: Path, order: CorpusOrder, numbers: list[int], workers: int
) -> Iterator[dict[str, Any]]:
    tasks = [(str(folder), order, number) for number in numbers]
    if workers <= 0 or len(tasks) < 2:
        yield from map(_render_one, tasks)
        return
    # Never forked from this process: children would share its OpenCV and BLAS threads.
    context: BaseContext
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
    else:
        context = multiprocessing.get_context("spawn")
    with context.Pool(min(workers, len(tasks)), initializer=_start_worker) as pool:
        yield from pool.imap_unordered(_render_one, tasks, chunksize=4)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pool ends it
    cv2.setNumThreads(1)


def _render_one(task: tuple[str, CorpusOrder, int]) -> dict[str, Any]:
    """Render and write one image; return its record of ``coco.json``."""
    folder, order, number = task
    spec = {"preset": order.preset, "settings": dict(order.settings)}
    rendering = renderer_of_spec(spec).render(order.seed, order.start_index + number - 1)
    bgr = cv2.cvtColor(rendering.image, cv2.COLOR_RGB2BGR)
    flags = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if order.image_format == "jpg" else []
    encoded, data = cv2.imencode(f".{order.image_format}", bgr, flags)
    if not encoded:
        raise RuntimeError(f"image {number} could not be encoded as {order.image_format}")
    name = f"images/img_{number}.{order.image_format}"
    Path(folder, name).write_bytes(data.tobytes())
    truth = "".join(f"{line}\n" for line in _truth_lines(rendering))
    (Path(folder) / "gt" / f"gt_img_{number}.txt").write_text(truth, encoding="utf-8")
    height, width = rendering.image.shape[:2]
    annotations = [
        {"segmentation": [np.round(polygon.ravel(), 2).tolist()], "text": word}
        for word, polygon in zip(rendering.words, rendering.polygons)
    ]
    image = {"file_name": name, "height": height, "width": width}
    return {"number": number, "image": image, "annotations": annotations}


def _truth_lines(rendering: Rendering) -> Iterator[str]:
    for word, polygon in zip(rendering.words, rendering.polygons):
        corners = np.round(quadrilateral(polygon)).astype(int).ravel().tolist()
        yield ",".join(map(str, corners)) + f",{word}"
