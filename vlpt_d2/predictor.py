"""Text detection in any image, by the name of a model or by a config and weights."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeGuard, Union, cast

import cv2
import numpy as np
from PIL import Image

from .data.image_io import CorruptImageError, open_source, pixels_of, read_image
from .detections import TextDetections
from .model_zoo.models import DEFAULT_MODEL, PREFIX, get, get_checkpoint, get_detector, get_graph
from .modeling.detection import DecodedTexts
from .structures.tiles import merge_texts, tile_windows
from .utils.environment import thread_count

if TYPE_CHECKING:
    import torch
    from detectron2.config import CfgNode

    from .export import Detector
    from .modeling.detection import TextDetector

__all__ = ["BACKENDS", "ImageLike", "TextPredictor"]

#: Everything that is accepted as an image.
ImageLike = Union[str, os.PathLike, bytes, Image.Image, np.ndarray, "torch.Tensor"]
#: What can run the network.
BACKENDS = ("torch", "onnx")

# Smaller windows hold less than a word.
_LEAST_TILE = 64
_IMAGES = (str, os.PathLike, bytes, Image.Image, np.ndarray)


class TextPredictor:
    """Find text in images.

    .. code-block:: python

        from vlpt_d2 import TextPredictor

        found = TextPredictor("db_mobile")("photo.jpg")
        print(found.polygons, found.scores)
        found.draw().save("found.jpg")

    Each image is resized to the test size of the config. The detections are in pixels of the image
    as it was given, and equal those of ``train_net.py --eval-only``.

    Attributes:
        detector: the network with its decoding; ``detector.settings`` are the thresholds and sizes.
        weights: the checkpoint, as it was named.
        batch_size: how many images of the same size go through the network at once.
        tile: side of the windows for large images, or "auto"; None: only the whole image.
        cfg: the frozen config; only with the backend "torch".
        model: the network as a module, in eval mode; only with the backend "torch".
    """

    cfg: CfgNode
    model: TextDetector
    detector: Detector

    def __init__(
        self,
        model: str | None = None,
        *,
        config_file: str = "",
        weights: str = "",
        opts: Sequence[str] = (),
        device: str = "auto",
        backend: str = "torch",
        batch_size: int | None = None,
        tile: int | str | None = None,
    ):
        """Build the detector and load its weights.

        Args:
            model: a name of :func:`vlpt_d2.model_zoo.list_models`; "db_mobile" if neither it nor
                a config is given.
            config_file: instead of ``model``: a path, or the name of a config in the package.
            weights: a checkpoint; by default the model's, or MODEL.WEIGHTS.
            opts: "KEY value" pairs on top of the config; with the backend "onnx" only thresholds,
                test sizes and NUM_THREADS.
            device: such as "cpu" or "cuda:1"; "auto": the config's device, which is a GPU if there
                is one and the CPU otherwise.
            backend: "torch"; or "onnx": onnxruntime on the CPU, without torch and detectron2, for
                a model of the zoo or, as ``weights``, an ONNX file of ``vlpt-d2 export``.
            batch_size: by default TEST.IMS_PER_BATCH, or 1 with "onnx".
            tile: run on overlapping windows of this many pixels in addition to the whole image, and
                merge the detections; "auto": only if the test size is less than half of the image,
                on windows that are reduced to half.

        Raises:
            ValueError: there is no such model, backend, device or tile, both ``model`` and
                ``config_file`` are given, the config cannot be used or is not one of a text
                detector, or no weights are named.
            FileNotFoundError: the weights are missing.
            CheckpointError: the weights cannot be read or do not fit.
            ExportError: the ONNX file is damaged, or was not written by this package.
            ImportError: onnxruntime is missing.
        """
        if model is not None and config_file:
            raise ValueError(f"name a model ({model}) or a config ({config_file}), not both")
        if backend not in BACKENDS:
            raise ValueError(f"no backend {backend!r}; there are {', '.join(BACKENDS)}")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        if tile not in (None, "auto") and not (isinstance(tile, int) and tile >= _LEAST_TILE):
            raise ValueError(f'tile is {tile!r}; it must be "auto" or at least {_LEAST_TILE}')
        self.tile = tile
        if backend == "onnx":
            if config_file or device not in ("auto", "cpu"):
                raise ValueError(
                    "the backend onnx runs models of the zoo and files of vlpt-d2 export, only on "
                    "the CPU: export the weights first, and pass the file as weights"
                )
            self._open_onnx(model, weights, opts)
            self.batch_size = 1 if batch_size is None else batch_size
        else:
            self._build(model, config_file, weights, opts, device)
            self.batch_size = self.cfg.TEST.IMS_PER_BATCH if batch_size is None else batch_size

    def _open_onnx(self, model: str | None, weights: str, opts: Sequence[str]) -> None:
        from .export.detector import open_graph, open_onnx

        rest, threads = _without_threads(opts)
        cv2.setNumThreads(threads)
        if weights and not weights.startswith(PREFIX):
            self.weights = weights
            self.detector = open_onnx(weights, threads)
        else:
            from .checkpoint.arrays import read_fused_arrays

            name = weights.removeprefix(PREFIX) or model or DEFAULT_MODEL
            self.weights = f"{PREFIX}{name}"
            path = get_checkpoint(name)
            self.detector = open_graph(
                get_graph(name), threads, lambda wanted: read_fused_arrays(path, wanted)
            )
        self.detector.set(rest)

    def _build(
        self, model: str | None, config_file: str, weights: str, opts: Sequence[str], device: str
    ) -> None:
        from .engine.defaults import load_config
        from .engine.models import build_detector

        if not config_file:
            model = DEFAULT_MODEL if model is None else model
            config_file = get_detector(model).config
            weights = weights or f"{PREFIX}{model}"
        if weights.startswith(PREFIX):
            get_checkpoint(weights.removeprefix(PREFIX))  # before the time that building takes
        self.cfg = load_config(config_file, [*opts, *_device_option(device)])
        self.weights = weights or self.cfg.MODEL.WEIGHTS
        self.model, self.detector = build_detector(self.cfg, self.weights)

    def description(self) -> dict[str, Any]:
        """What the detections depend on (weights, thresholds, sizes), as plain values for JSON."""
        if self.weights.startswith(PREFIX):
            digest = get(self.weights.removeprefix(PREFIX)).sha256
        else:
            with open_source(self.weights) as file:
                digest = hashlib.sha256(file.read()).hexdigest()
        settings = {
            name: self.detector.settings[name]
            for name in ("head", "input", "decoding", "score_thresh")
        }
        return {
            "model": self.weights,
            "weights_sha256": digest,
            "settings": settings,
            "tile": self.tile,
        }

    def __call__(
        self, images: ImageLike | Iterable[ImageLike], image_format: str = "RGB"
    ) -> TextDetections | list[TextDetections]:
        """Find text in one image, or in several.

        Args:
            images: an image or an iterable of images. An image is

                - a path, or the bytes of an image file, rotated by its EXIF orientation;
                - a Pillow image, used without rotation;
                - an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or a tensor (C, H, W) or
                  (H, W): integers of 8 or 16 bits, or floats in [0, 1].
            image_format: "RGB" or "BGR", the order of the channels of arrays and tensors.

        Returns:
            The detections of the image; for an iterable, a list of them.

        Raises:
            FileNotFoundError, CorruptImageError: see :func:`~vlpt_d2.data.image_io.read_image`.
            TypeError, ValueError: an image is of another type, shape or range.
        """
        # What is neither an image nor an iterable gets the error of an image.
        if isinstance(images, _IMAGES) or _is_tensor(images) or not isinstance(images, Iterable):
            return next(self.iterate([cast(ImageLike, images)], image_format))
        return list(self.iterate(images, image_format))

    def iterate(
        self, images: Iterable[ImageLike], image_format: str = "RGB"
    ) -> Iterator[TextDetections]:
        """Find text in images batch by batch, without holding all of them in memory.

        Args:
            images: see :meth:`__call__`.
            image_format: see there.

        Yields:
            The detections of each image, in order.
        """
        if image_format not in ("RGB", "BGR"):
            raise ValueError(f"image_format is RGB or BGR, not {image_format!r}")
        remaining = iter(images)
        while batch := list(islice(remaining, self.batch_size)):
            pixels = [_read(image, image_format) for image in batch]
            if self.tile is None:
                results = self.detector(pixels)
            else:
                results = [self._detect_tiled(image) for image in pixels]
            for image, rgb, texts in zip(batch, pixels, results):
                name = os.fspath(image) if isinstance(image, str | os.PathLike) else None
                yield TextDetections(texts.polygons, texts.scores, rgb, name, texts.words)

    def _detect_tiled(self, image: np.ndarray) -> DecodedTexts:
        """Find text in an image and in its tiles, and merge the detections."""
        size = image.shape[:2]
        side = self.tile
        if not isinstance(side, int):
            # A square of that size is reduced to half.
            side = 2 * min(self.detector.size_for_test((max(size),) * 2))
            if 2 * min(np.divide(self.detector.size_for_test(size), size)) >= 1:
                side = max(size)
        if max(size) <= side:
            return self.detector([image])[0]
        windows = np.concatenate([[(0, 0, *size[::-1])], tile_windows(size, side)])
        views = [np.ascontiguousarray(image[y0:y1, x0:x1]) for x0, y0, x1, y1 in windows]
        found = []
        for i in range(0, len(views), self.batch_size):
            found += self.detector(views[i : i + self.batch_size])
        polygons = [
            p + np.float32(window[:2])
            for window, texts in zip(windows, found)
            for p in texts.polygons
        ]
        scores = np.concatenate([texts.scores for texts in found])
        owners = np.repeat(np.arange(len(windows)), [len(texts.polygons) for texts in found])
        merged, merged_scores, parts = merge_texts(polygons, scores, owners, windows, size)
        words = None
        if found[0].words is not None:
            read = [word for texts in found for word in texts.words or ()]
            words = [read[i] for i in parts]
        return DecodedTexts(merged, merged_scores, words=words)


def _without_threads(opts: Sequence[str]) -> tuple[list[str], int]:
    """Return the options without NUM_THREADS, and the number of threads."""
    rest: list[str] = []
    wanted = 0
    for i in range(0, len(opts), 2):
        if opts[i] == "NUM_THREADS" and len(opts) > i + 1:
            try:
                wanted = int(opts[i + 1])
            except ValueError:
                raise ValueError(
                    f"NUM_THREADS is {opts[i + 1]!r}; it must be a whole number"
                ) from None
        else:
            rest += opts[i : i + 2]
    return rest, thread_count(wanted)


def _device_option(device: str) -> list[str]:
    if device == "auto":
        return []
    import torch

    if device.split(":")[0] == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {device!r}, but there is no GPU that torch can use")
    return ["MODEL.DEVICE", device]


def _is_tensor(image: object) -> TypeGuard[torch.Tensor]:
    """Check without importing torch: whoever has a tensor has imported it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)


def _read(image: ImageLike, image_format: str) -> np.ndarray:
    """Return an image as (H, W, 3) uint8, RGB."""
    if isinstance(image, str | os.PathLike):
        path = os.fspath(image)
        try:
            return read_image(path, path)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{path}: no such image") from error
    if isinstance(image, bytes):
        return read_image(image, "the image in memory")
    if isinstance(image, Image.Image):
        if not min(image.size):
            raise ValueError("the image has no pixels")
        try:
            return pixels_of(image)
        except (OSError, SyntaxError) as error:  # Pillow decodes a file when its pixels are needed
            name = getattr(image, "filename", "") or "the Pillow image"
            raise CorruptImageError(f"{name}: cannot be decoded ({error})") from error
    if _is_tensor(image):
        image = image.detach().cpu()
        # numpy lacks some of torch's floats.
        array = (image.float() if image.is_floating_point() else image).numpy()
        return _from_array(array.transpose(1, 2, 0) if array.ndim == 3 else array, image_format)
    if isinstance(image, np.ndarray):
        return _from_array(image, image_format)
    raise TypeError(
        "an image must be a path, bytes, a Pillow image, an array or a tensor, not "
        f"{type(image).__name__}"
    )


def _from_array(array: np.ndarray, image_format: str) -> np.ndarray:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise ValueError(
            f"an array of shape {array.shape} is not an image; arrays must be (H, W), or (H, W, C) "
            "with 1, 3 or 4 channels, tensors (H, W) or (C, H, W). Pass several images as a list"
        )
    array = _to_bytes(array)
    if array.shape[2] == 1:
        return np.repeat(array, 3, axis=2)
    if image_format == "BGR":
        array = array[:, :, [2, 1, 0, 3][: array.shape[2]]]
    array = np.ascontiguousarray(array)
    # A copy: the detections keep it, whatever becomes of the caller's.
    return array.copy() if array.shape[2] == 3 else pixels_of(Image.fromarray(array))


def _to_bytes(array: np.ndarray) -> np.ndarray:
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    low, high = array.min(), array.max()
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.rint(array.astype(np.float32) * 255).astype(np.uint8)
    if array.dtype.kind in "iu" and low >= 0 and high <= 255:
        return array.astype(np.uint8)
    raise ValueError(
        f"pixels are {array.dtype} from {low} to {high}; floats must be in [0, 1] and integers in "
        "[0, 255]. Convert the image to 8 bits"
    )
