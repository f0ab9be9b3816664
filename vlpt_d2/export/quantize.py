"""Networks in 8 bits: static quantisation of an exported ONNX file."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..data.image_io import CorruptImageError
from ..utils.atomic import replacing
from .detector import KEY, ExportError, open_onnx

__all__ = ["quantize_onnx"]


def quantize_onnx(path: str | Path, images: Iterable[np.ndarray]) -> None:
    """Replace an exported ONNX file by one whose convolutions compute in 8 bits.

    Weights get a scale for each channel, and 7 bits: processors without instructions for 8 bits
    (VNNI) would add them up to more than fits. Activations get the range that they have on the
    images. The last layers stay in 32 bits.

    Args:
        path: of the file, see :func:`~.write.export_detector`.
        images: (H, W, 3) uint8, RGB, like those to be found texts in; some thirty of the training.

    Raises:
        ExportError: a package is missing, or there is no image.
        OSError, CorruptImageError: an image cannot be read, or the file cannot be written.
    """
    try:
        import onnx
        from onnxruntime.quantization import (
            CalibrationDataReader,
            QuantFormat,
            QuantType,
            quantize_static,
        )
    except ImportError as error:
        raise ExportError(f"{error}: pip install vlpt-d2[export]") from error

    detector = open_onnx(str(path))

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray] = map(detector.batch, map(detector.resized, images))
            self.count = 0

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            if batch is None:
                return None
            self.count += 1
            return {"images": batch}

    path, reader = Path(path), Reader()
    part = path.with_suffix(".int8")
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # of onnxruntime, which warns of what it does not preprocess
    try:
        quantize_static(
            str(path),
            str(part),
            reader,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model = onnx.load(str(part))
        del model.metadata_props[:]
        entry = model.metadata_props.add()
        entry.key, entry.value = KEY, json.dumps({**detector.settings, "precision": "int8"})
        with replacing(path) as file:
            onnx.save(model, file)
    except (OSError, CorruptImageError):
        raise
    except Exception as error:
        if not reader.count:
            raise ExportError("there is no image to calibrate with") from error
        raise ExportError(f"{path} cannot be quantised: {error}") from error
    finally:
        root.setLevel(level)
        part.unlink(missing_ok=True)
