"""Writing ONNX and TorchScript files, each compared with the network it was made of."""

import copy
import io
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from detectron2.config import CfgNode
from packaging.version import Version

from ..modeling.backbone import DeformConv2d
from ..modeling.detection import TextDetector
from ..modeling.fusing import fuse_norms
from ..utils.atomic import replacing, write_text
from .detector import KEY, PREFIX, Detector, ExportError, Runner, open_onnx, parse
from .metadata import describe
from .network import WHAT_CAN, ExportNetwork

if TYPE_CHECKING:
    import onnx

__all__ = ["FORMATS", "export_detector", "load_exported", "open_torchscript", "write_graph"]

logger = logging.getLogger(__name__)

# The first operator set with deformable convolutions is 19, whose averages onnxruntime lacks.
OPSET = 20
# torch's exporter of programs fails before on maps resized to the size of others. The one of
# traces, which serves there, knows no deformable convolutions.
_PROGRAMS_SINCE = "2.7"
_EXPORTS_PROGRAMS = Version(torch.__version__) >= Version(_PROGRAMS_SINCE)
# Number of images, and height and width in units of the divisor: what a file is made with (no
# length is 1, which exporters may take as fixed, and no two are equal, down to maps of stride 128)
# and what it is compared on.
_EXAMPLE = (2, 9, 14)
_CHECKS = ((1, 2, 5), (3, 4, 1))
# Of the difference over the larger of 1 and the value: probabilities end at 1, distances do not.
_TOLERANCE = 1e-4


def export_detector(
    cfg: CfgNode, model: TextDetector, path: str | Path, file_format: str
) -> float | None:
    """Write the network of a detector, and what :mod:`.metadata` describes, to one file.

    The number of images, height and width stay free. Batch norms are folded into convolutions.
    Decoding is not part of the file: see :func:`load_exported`.

    Args:
        cfg: the config of ``model``.
        model: on the CPU; put in eval mode.
        path: of the file.
        file_format: "onnx" or "torchscript" (traced).

    Returns:
        The largest difference between the maps of the file and of the model, on random images of
        two other sizes, relative where a value exceeds 1; None where onnxruntime is missing to
        compute it.

    Raises:
        ExportError: there is no such format, a package is missing, or the network cannot be
            exported; a file whose maps differ by more than 1e-4 is removed.
    """
    if file_format not in FORMATS:
        raise ExportError(f"there is no format {file_format!r}, but {', '.join(FORMATS)}")
    network = _network(model)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write, load = FORMATS[file_format]
    backbone = type(model.backbone).__name__
    try:
        with torch.no_grad():
            settings = {**describe(cfg, model, network.map_names()), "config": cfg.dump()}
            write(network, json.dumps(settings), path)
    except (ExportError, OSError):
        raise
    # Exporters fail with almost any kind of exception.
    except Exception as error:
        raise ExportError(
            f"{type(model.text_head).__name__} on {backbone} cannot be written as {file_format}: "
            f"{_first_line(error)}. {WHAT_CAN}"
        ) from error
    try:
        runner = load(str(path)).run
    except ImportError:
        logger.warning("%s: not compared with the model, as onnxruntime is missing", path)
        return None
    return _compare(network, runner, path, backbone)


def load_exported(path: str | Path) -> Detector:
    """Open a file of :func:`export_detector`, on the CPU.

    Args:
        path: an ONNX (``.onnx``) or a TorchScript file.

    Raises:
        ExportError: it was not written by this package.
        ImportError: onnxruntime, for ONNX files, is missing.
    """
    path = str(path)
    if path.endswith(".onnx"):
        return open_onnx(path, torch.get_num_threads())
    return open_torchscript(path)


def open_torchscript(path: str) -> Detector:
    """Open a TorchScript file, on the CPU.

    Raises:
        ExportError: it is no TorchScript file, or was not written by this package.
    """
    extra = {KEY: ""}
    try:
        module = torch.jit.load(path, map_location="cpu", _extra_files=extra)
    except RuntimeError as error:
        raise ExportError(f"{path}: no TorchScript file ({error})") from error

    def run(images: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            return [values.numpy() for values in module(torch.from_numpy(images))]

    description = extra[KEY]
    return Detector(
        run, parse(description.decode() if isinstance(description, bytes) else description, path)
    )


def write_graph(cfg: CfgNode, model: TextDetector, path: Path) -> None:
    """Write a detector's network as ONNX without its weights, for :mod:`vlpt_d2.model_zoo`.

    Next to it, as ``.json``, are the settings of :func:`.metadata.describe`, with "weights": the
    names of those to be given to the runtime, batch norms folded into convolutions, to the axis of
    their output channels.

    Args:
        cfg: the config of ``model``.
        model: on the CPU, with trained weights: a bias of zeros would be left out.
        path: of the file, ``.onnx``.
    """
    import onnx

    network = _network(model)
    transposed = {
        f"{name}.weight"
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.ConvTranspose2d)
    }
    names = set(network.state_dict())
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        proto = _convert_program(network)
    graph = proto.graph
    weights = {}
    for tensor in graph.initializer:
        if tensor.name in names:
            weights[tensor.name.removeprefix(PREFIX)] = int(tensor.name in transposed)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            place = tensor.external_data.add()
            place.key, place.value = "location", "weights"
    # What the exporter notes of each node, such as where in the code it comes from.
    del graph.value_info[:], graph.metadata_props[:], proto.metadata_props[:]
    for node in graph.node:
        del node.metadata_props[:]
        node.ClearField("name")
    with replacing(path) as file:
        file.write(proto.SerializeToString())
    settings = {**describe(cfg, model, network.map_names()), "weights": weights}
    write_text(path.with_suffix(".json"), json.dumps(settings, indent=1) + "\n")


def _network(model: TextDetector) -> ExportNetwork:
    """The network to export: a copy with batch norms folded."""
    network = copy.deepcopy(ExportNetwork(model)).eval()
    fuse_norms(network)
    return network


def _compare(network: ExportNetwork, runner: Runner, path: Path, backbone: str) -> float:
    largest = 0.0
    for number, rows, columns in _CHECKS:
        images = network.example(number, rows, columns)
        size = "x".join(map(str, images.shape))
        with torch.no_grad():
            expected = network(images)
        try:
            pairs = zip(runner(images.numpy()), (e.numpy() for e in expected), strict=True)
            difference = max(_difference(ours, theirs) for ours, theirs in pairs)
        # Whatever the runtime raises: the file is of no use.
        except Exception as error:
            path.unlink()
            raise ExportError(
                f"{path}: the file does not run on images of {size}: {_first_line(error)}. The "
                f"graph of {backbone} has the size it was exported with built in. {WHAT_CAN}"
            ) from error
        if not difference <= _TOLERANCE:
            path.unlink()
            raise ExportError(
                f"{path}: on images of {size} the file's maps differ from the model's by "
                f"{difference:.2g}. The graph of {backbone} has the size it was exported with "
                f"built in. {WHAT_CAN}"
            )
        largest = max(largest, difference)
    return largest


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float((np.abs(found - expected) / np.maximum(np.abs(expected), 1)).max())


def _write_onnx(network: ExportNetwork, description: str, path: Path) -> None:
    try:
        import onnx
        import onnxscript  # noqa: F401  torch's exporter needs both
    except ImportError as error:
        raise ExportError(
            f"{error}: pip install vlpt-d2[export], or onnx and onnxscript"
        ) from error
    deformable = any(isinstance(module, DeformConv2d) for module in network.modules())
    if deformable and not _EXPORTS_PROGRAMS:
        raise ExportError(
            f"deformable convolutions are written as onnx by torch {_PROGRAMS_SINCE} or newer, "
            f"and this is torch {torch.__version__}. TorchScript can hold them"
        )
    convert = _convert_program if _EXPORTS_PROGRAMS else _convert_trace
    # The file is opened before the time that converting takes.
    with replacing(path) as file, warnings.catch_warnings():
        # torch's and detectron2's own use of what is deprecated.
        warnings.simplefilter("ignore")
        proto = convert(network)
        entry = proto.metadata_props.add()
        entry.key, entry.value = KEY, description
        onnx.checker.check_model(proto)
        onnx.save(proto, file)


def dynamic_shapes(network: ExportNetwork) -> dict[str, dict[int, Any]]:
    """Any number of images of any size that the network takes, for ``torch.export``."""
    dim = torch.export.Dim
    sides = {
        axis: network.divisor * dim(name, min=1, max=4096)
        for axis, name in ((2, "rows"), (3, "columns"))
    }
    return {"images": {0: dim("number", min=1, max=4096), **sides}}


def _convert_program(network: ExportNetwork) -> "onnx.ModelProto":
    program: Any = torch.onnx.export(
        network,
        (network.example(*_EXAMPLE),),
        dynamo=True,
        opset_version=OPSET,
        dynamic_shapes=dynamic_shapes(network),
        input_names=["images"],
        output_names=network.map_names(),
        verbose=False,
    )
    return program.model_proto


def _convert_trace(network: ExportNetwork) -> "onnx.ModelProto":
    import onnx

    names = network.map_names()
    file = io.BytesIO()
    torch.onnx.export(
        network,
        (network.example(*_EXAMPLE),),
        cast(Any, file),  # a stream serves as well, which the stubs leave out
        dynamo=False,
        opset_version=OPSET,
        dynamic_axes={
            "images": {0: "number", 2: "rows", 3: "columns"},
            **{name: {0: "number", 2: f"{name}_rows", 3: f"{name}_columns"} for name in names},
        },
        input_names=["images"],
        output_names=names,
        verbose=False,
    )
    return onnx.load_model_from_string(file.getvalue())


def _write_torchscript(network: ExportNetwork, description: str, path: Path) -> None:
    with warnings.catch_warnings():
        # Python values of shapes; whether one of them was frozen is seen in the comparison.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, network.example(*_EXAMPLE), check_trace=False)
    with replacing(path) as file:
        torch.jit.save(traced, file, _extra_files={KEY: description.encode()})


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"


# Name -> how to write and how to open.
FORMATS: dict[str, tuple[Callable, Callable]] = {
    "onnx": (_write_onnx, open_onnx),
    "torchscript": (_write_torchscript, open_torchscript),
}
