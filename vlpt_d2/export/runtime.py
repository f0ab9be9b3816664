"""Using an exported file: padding before the network, decoding after it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.structures import Instances
from torch import Tensor

from ..config import get_cfg
from ..modeling.detection import TextHead, build_text_head, decode_instances
from ..modeling.pixels import pad_images
from .metadata import KEY, parse
from .network import ExportError

__all__ = ["ExportedDetector", "Runner", "load_exported", "open_onnx", "open_torchscript"]

Runner = Callable[[Tensor], Sequence[Tensor]]


class ExportedDetector:
    """An exported network with the padding before it and the head's decoding after it.

    Called with samples of the detection mapper it gives what
    :class:`~vlpt_d2.modeling.detection.TextDetector` gives in eval mode.
    """

    def __init__(self, runner: Runner, metadata: dict[str, Any]):
        """
        Args:
            runner: from images (N, 3, H, W), float32, to the maps.
            metadata: of :func:`.metadata.parse`.
        """
        self.runner = runner
        self.metadata = metadata
        self.cfg = get_cfg()
        self.cfg.merge_from_other_cfg(CfgNode.load_cfg(metadata["config"]))
        shapes = {name: ShapeSpec(**shape) for name, shape in metadata["backbone"].items()}
        # For its decoding alone: the weights are random and not used.
        self.text_head: TextHead = build_text_head(self.cfg, shapes).eval()
        self._mean = torch.tensor(metadata["input"]["pixel_mean"]).view(-1, 1, 1)

    def predict_maps(
        self, batched_inputs: list[dict]
    ) -> list[tuple[dict[str, Tensor], tuple[int, int]]]:
        """Return each image's maps as the head predicts them, and its (H, W) without padding.

        Args:
            batched_inputs: dicts with "image", (3, H, W) in [0, 255], resized as for the test.
        """
        images = [x["image"] for x in batched_inputs]
        batch = pad_images(images, self._mean, self.metadata["input"]["divisor"])
        found = self.runner(batch.tensor)
        return [
            ({name: m[i] for name, m in zip(self.metadata["maps"], found)}, size)
            for i, size in enumerate(batch.image_sizes)
        ]

    def __call__(self, batched_inputs: list[dict]) -> list[dict[str, Instances]]:
        """Detect the texts of a batch; see ``TextDetector.forward`` for inputs and outputs."""
        return [
            {"instances": decode_instances(self.text_head, maps, size, sample)}
            for (maps, size), sample in zip(self.predict_maps(batched_inputs), batched_inputs)
        ]


def load_exported(path: str | Path) -> ExportedDetector:
    """Open a file of :func:`~vlpt_d2.export.export_detector`, on the CPU.

    Args:
        path: an ONNX (``.onnx``) or a TorchScript file.

    Raises:
        ExportError: it was not written by this package.
        ImportError: onnxruntime, for ONNX files, is missing.
    """
    path = str(path)
    runner, description = (open_onnx if path.endswith(".onnx") else open_torchscript)(path)
    return ExportedDetector(runner, parse(description, path))


def open_onnx(path: str) -> tuple[Runner, str | None]:
    """Open an ONNX file with onnxruntime; return how to run it and its description."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(f"{error}: pip install onnxruntime, or vlpt-d2[export]") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (name,) = (entry.name for entry in session.get_inputs())

    def run(images: Tensor) -> list[Tensor]:
        return [torch.from_numpy(m) for m in session.run(None, {name: images.numpy()})]

    return run, session.get_modelmeta().custom_metadata_map.get(KEY)


def open_torchscript(path: str) -> tuple[Runner, str | None]:
    """Open a TorchScript file; return how to run it and its description.

    Raises:
        ExportError: it is no TorchScript file.
    """
    extra = {KEY: ""}
    try:
        module = torch.jit.load(path, map_location="cpu", _extra_files=extra)
    except RuntimeError as error:
        raise ExportError(f"{path}: no TorchScript file ({error})") from error

    def run(images: Tensor) -> Sequence[Tensor]:
        with torch.no_grad():
            return module(images)

    description = extra[KEY]
    return run, description.decode() if isinstance(description, bytes) else description
