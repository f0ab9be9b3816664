"""Exported detectors at work, without torch or detectron2: images in, texts out."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.sizes import SizeForTest, resize
from ..modeling.detection.decoded import DecodedTexts

__all__ = ["Detector", "ExportError", "Runner", "open_graph", "open_onnx", "parse"]

#: From images (N, 3, H, W), float32 in [0, 255], to the maps, (N, C, H', W') float32 each.
Runner = Callable[[np.ndarray], Sequence[np.ndarray]]

# The entry of an ONNX file's metadata, and of a TorchScript file's extra files.
KEY = "vlpt_d2.json"
# How names of weights begin in an exported graph.
PREFIX = "detector."
_INPUT = "images"
VERSION = 2
# Config keys that can be set without the config -> group and name of the setting.
_KEYS = {
    "INPUT.DETECTION.TEST_RESIZE": ("input", "resize"),
    "INPUT.DETECTION.TEST_SIZE": ("input", "resize_to"),
    "INPUT.DETECTION.TEST_MAX_SIZE": ("input", "resize_limit"),
    "TEST.SCORE_THRESH": ("", "score_thresh"),
}


class ExportError(RuntimeError):
    """A detector cannot be exported, or a file is not an exported one."""


class Detector:
    """A network, with the resizing and padding before it and the decoding after it.

    Attributes:
        settings: of the file, see docs/detectors.md; changed values hold from the next call.
    """

    def __init__(
        self,
        run: Runner,
        settings: dict[str, Any],
        decode: Callable[[dict[str, np.ndarray], tuple[int, int]], DecodedTexts] | None = None,
    ):
        """
        Args:
            run: the network.
            settings: of :func:`parse`.
            decode: from the maps of one image and its (H, W) to its texts; if not given, that of
                the head's folder.
        """
        self.run = run
        self.settings = settings
        self._decode = decode

    def __call__(self, images: Sequence[np.ndarray]) -> list[DecodedTexts]:
        """Find the texts of images.

        Images of one size once resized go through the network together: padding would change what
        it computes.

        Args:
            images: (H, W, 3) uint8 each, RGB.

        Returns:
            The texts of each image, in its pixels.
        """
        resized = [self.resized(image) for image in images]
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, pixels in enumerate(resized):
            groups.setdefault(pixels.shape, []).append(i)
        found: dict[int, DecodedTexts] = {}
        for indices in groups.values():
            for i, maps in zip(indices, self.maps([resized[i] for i in indices])):
                size = resized[i].shape[:2]
                texts = self.decode(maps, size).resized(size, images[i].shape[:2])
                found[i] = texts.at_least(self.settings["score_thresh"])
        return [found[i] for i in range(len(images))]

    @property
    def size_for_test(self) -> SizeForTest:
        """The rule by which images are resized."""
        rule = self.settings["input"]
        return SizeForTest(rule["resize"], tuple(rule["resize_to"]), rule["resize_limit"])

    def maps(self, images: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
        """Run the network on images of one size, as they are.

        Args:
            images: (H, W, 3) uint8 each, RGB.

        Returns:
            Of each image the maps, (C, H', W') each, padding included.
        """
        found = self.run(self.batch(*images))
        names = self.settings["maps"]
        return [dict(zip(names, [values[i] for values in found])) for i in range(len(images))]

    def resized(self, image: np.ndarray) -> np.ndarray:
        """Return an image (H, W, 3), uint8, in the size in which texts are looked for."""
        return resize(image, self.size_for_test(image.shape[:2]))

    def batch(self, *images: np.ndarray) -> np.ndarray:
        """Return what the network reads of resized images of one size; see :data:`Runner`."""
        rule = self.settings["input"]
        pixels = np.stack(images)
        if rule["channels"] == "BGR":
            pixels = pixels[..., ::-1]
        number, height, width, channels = pixels.shape
        padded = (-(-side // rule["divisor"]) * rule["divisor"] for side in (height, width))
        batch = np.empty((number, channels, *padded), np.float32)
        batch[:] = np.reshape(rule["pixel_mean"], (-1, 1, 1))
        batch[:, :, :height, :width] = pixels.transpose(0, 3, 1, 2)
        return batch

    def decode(self, maps: dict[str, np.ndarray], size: tuple[int, int]) -> DecodedTexts:
        """Turn the maps of one image of (H, W) into texts in its pixels.

        Raises:
            ExportError: the file is of a head whose decoding is not in this package.
        """
        if self._decode is not None:
            return self._decode(maps, size)
        name = self.settings["decoder"]
        if not isinstance(name, str) or not name.isidentifier():
            raise ExportError(
                f"texts of {self.settings['head']} are decoded by its own package: take the maps "
                "of Detector.maps, or TextPredictor with the config and weights"
            )
        module = importlib.import_module(f"..modeling.detection.{name}.decode", __package__)
        return module.decode_maps(maps, size, **self.settings["decoding"])

    def set(self, options: Sequence[str]) -> None:
        """Take over "KEY value" pairs of a config, those that do not change the network.

        Raises:
            ValueError: they are no pairs, or a key cannot be set here.
        """
        keys = {**_KEYS, **{k: ("decoding", n) for k, n in self.settings["keys"].items()}}
        if len(options) % 2:
            raise ValueError(f"options come in pairs, KEY value: {' '.join(options)}")
        for key, text in zip(options[::2], options[1::2]):
            if key not in keys:
                raise ValueError(
                    f"{key} cannot be set for an exported detector; these can: {', '.join(keys)}"
                )
            group, name = keys[key]
            node = self.settings[group] if group else self.settings
            try:
                node[name] = _parsed(text, node.get(name))
            except ValueError as error:
                raise ValueError(f"{key} is {text!r}; it must be {error}") from None
        _ = self.size_for_test  # checks it


def _parsed(text: str, before: Any) -> Any:
    """A value of the form of the one before: a string, a number or a list of two numbers."""
    if isinstance(before, str):
        return text
    try:
        value = json.loads(text.strip().replace("(", "[").replace(")", "]").replace(",]", "]"))
    except ValueError:
        value = None
    pair = isinstance(before, list)
    numbers = value if pair and isinstance(value, list) else [value]
    if len(numbers) != 1 + pair or not all(isinstance(v, int | float) for v in numbers):
        raise ValueError("two numbers, such as (736, 736)" if pair else "a number")
    return value


def open_onnx(path: str, threads: int = 0) -> Detector:
    """Open an ONNX file with onnxruntime, on the CPU.

    Args:
        path: of the file.
        threads: of the network; 0: as onnxruntime chooses.

    Raises:
        FileNotFoundError: there is no such file.
        ExportError: it is no ONNX file, or was not written by this package.
        ImportError: onnxruntime is missing.
    """
    session = _session(path, threads, {})
    settings = parse(session.get_modelmeta().custom_metadata_map.get(KEY), path)
    return Detector(lambda images: session.run(None, {_INPUT: images}), settings)


def open_graph(
    path: str, threads: int, read: Callable[[Mapping[str, int]], Mapping[str, np.ndarray]]
) -> Detector:
    """Open an ONNX file without weights, next to which are its settings as ``.json``.

    Args:
        path: of the file; see :func:`~.write.write_graph`.
        threads: see :func:`open_onnx`.
        read: from the names of the weights to these, float32; see
            :func:`~vlpt_d2.checkpoint.arrays.read_fused_arrays`.
    """
    name = str(Path(path).with_suffix(".json"))
    settings = parse(Path(name).read_text("utf-8"), name)
    weights = read(settings["weights"])
    session = _session(path, threads, weights)

    # The runtime reads the arrays where they are: they live as long as the session.
    def run(images: np.ndarray, _weights: object = weights) -> Sequence[np.ndarray]:
        return session.run(None, {_INPUT: images})

    return Detector(run, settings)


def _session(path: str, threads: int, weights: Mapping[str, np.ndarray]) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(f"{error}: pip install onnxruntime, or vlpt-d2[export]") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in weights.values()]
    options.add_external_initializers([f"{PREFIX}{name}" for name in weights], values)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no file {path}")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # The runtime's own exceptions have no common class.
    except Exception as error:
        raise ExportError(
            f"{path}: no ONNX file that can be run ({error}). Name a file of vlpt-d2 export, or "
            "take the backend torch"
        ) from error


def parse(text: str | None, path: str) -> dict[str, Any]:
    """Read what :func:`~.metadata.describe` wrote.

    Args:
        text: JSON; None where the file has no such entry.
        path: of the file, for messages.

    Raises:
        ExportError: nothing is described, or in another version, or the text is damaged.
    """
    if not text:
        raise ExportError(f"{path} was not written by vlpt-d2 export: it has no entry {KEY}")
    try:
        content = json.loads(text)
        version = content["version"]
    except (ValueError, TypeError, KeyError) as error:
        raise ExportError(
            f"{path} is damaged (its settings are no JSON of vlpt-d2 export): export the "
            "checkpoint again; for a model of the zoo, reinstall the package"
        ) from error
    if version != VERSION:
        raise ExportError(
            f"{path} is of version {version}, this package reads {VERSION}: export "
            f"the checkpoint again (the file is of {content['producer']})"
        )
    return content
