"""The models of the zoo: what each is, where its weights are, and what it reaches."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.nearest import did_you_mean
from .configs import get_config_file

if TYPE_CHECKING:
    from detectron2.config import CfgNode

__all__ = [
    "DEFAULT_MODEL",
    "DEFAULT_PRETRAINING",
    "PREFIX",
    "Model",
    "get",
    "get_checkpoint",
    "get_config",
    "get_detector",
    "get_graph",
    "list_models",
]

#: The detector that is taken where none is named.
DEFAULT_MODEL = "db_mobile"
#: The pre-training that is looked into where none is named.
DEFAULT_PRETRAINING = "vlpt_R_50_half"
#: How the zoo's weights are named in MODEL.WEIGHTS, before the model's name.
PREFIX = "vlpt://"

_FOLDER = Path(__file__).resolve().parent / "weights"
_RAPIDOCR = "rapidocr/"


@dataclass(frozen=True)
class Model:
    """An entry of the zoo.

    Attributes:
        name: as in ``TextPredictor(name)`` and ``vlpt://name``.
        config: the name of its config.
        summary: what it is, in one line.
        weights: a file next to this module, in ``weights``; "rapidocr/..." a file of that
            installed package; "" where there are no weights.
        sha256: of that file.
        trained_on: data and schedule.
        results: in percent on the 500 test images of ICDAR2015, by its protocol of words and with
            the thresholds of the config: "precision", "recall" and "hmean", as far as known.
        licence: of the weights, with what they were made from.
        not_for: what it was not made for.
        detects: whether it finds text; if not it is a pre-training that a detector starts from.
    """

    name: str
    config: str
    summary: str
    weights: str = ""
    sha256: str = ""
    trained_on: str = ""
    results: dict[str, float] = field(default_factory=dict)
    licence: str = ""
    not_for: str = ""
    detects: bool = True

    @property
    def is_shipped(self) -> bool:
        """Whether the weights come with this package."""
        return bool(self.weights) and not self.weights.startswith(_RAPIDOCR)


_PHOTOGRAPHS = (
    "documents and screenshots (never seen in training), scripts other than Latin, decisions about "
    "people"
)

# To replace weights: the file (tools/write_weights.py), its sha256, the results, the page
# docs/model_zoo.md.
_MODELS = (
    Model(
        name="db_mobile",
        config="detection/icdar2015/db_mobile.yaml",
        summary="DB on the network of PP-OCRv6 small, 2.5 M parameters: words in photographs",
        weights="db_mobile.safetensors",
        sha256="9b4489e0c8757c33a4a98c7b63d44bea723e36b738a6ad12c64b94f3cddff8a1",
        trained_on="starts from PP-OCRv6 small; 900 of the ICDAR2015 training images, 2,000 steps "
        "of 16 crops of 640 px, AdamW 2e-4, seed 1, the best of four by hmean on the other 100",
        results={"precision": 77.6, "recall": 78.3, "hmean": 78.0},
        licence="Apache-2.0; start weights: PaddleOCR, Apache-2.0",
        not_for=_PHOTOGRAPHS,
    ),
    Model(
        name="db_R_50_half",
        config="detection/icdar2015/db_R_50_half.yaml",
        summary="DB on a half-width R-50 that VLPT pre-trained, 6.4 M parameters: words in "
        "photographs",
        weights="db_R_50_half.safetensors",
        sha256="a34e169f097f933f5bb1b3cca1e6415cc2f9c7636e886dcca41de73dcb5693c2",
        trained_on="a trunk trained on photographs, VLPT on 204,800 rendered images, then 900 of "
        "the ICDAR2015 training images, 2,000 steps of 16 crops of 640 px, the best of four by "
        "hmean on the other 100",
        results={"precision": 65.5, "recall": 53.9, "hmean": 59.1},
        licence="Apache-2.0; start weights: Yahoo open_nsfw, BSD-2-Clause",
        not_for=_PHOTOGRAPHS,
    ),
    Model(
        name="ppocrv6_small",
        config="detection/msra_td500/ppocrv6_small.yaml",
        summary="PP-OCRv6 small as published, 2.5 M parameters: lines of text, many languages; "
        "pip install rapidocr==3.10.0 'vlpt-d2[export]'",
        weights="rapidocr/models/PP-OCRv6_det_small.onnx",
        sha256="090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
        trained_on="PaddleOCR's data",
        results={"precision": 50.8, "recall": 37.6, "hmean": 43.2},
        licence="Apache-2.0 (PaddleOCR)",
        not_for="single words: a line of several words is one detection",
    ),
    Model(
        name="vlpt_R_50_half",
        config="pretrain/vlpt_R_50_half.yaml",
        summary="a VLPT that reads large rendered words: vlpt_R_50_half_trunk and encoders for "
        "8,000 tokens, 8.2 M parameters",
        weights="vlpt_R_50_half.safetensors",
        sha256="57da51c16fc79efd0088934bc1bb2448f097c81fa6cf25e0ed1571da88ee0edb",
        trained_on="the encoders on the frozen trunk: 83,200 rendered images of two words each on "
        "plain backgrounds, the 6,000 most frequent words, seed 1",
        licence="Apache-2.0; start weights: Yahoo open_nsfw, BSD-2-Clause",
        not_for="reading photographs",
        detects=False,
    ),
    Model(
        name="vlpt_R_50_half_trunk",
        config="pretrain/vlpt_R_50_half_trunk.yaml",
        summary="the half-width R-50 of a VLPT that reads rendered words, 5.9 M parameters: a "
        "trunk for detectors",
        weights="vlpt_R_50_half_trunk.safetensors",
        sha256="5ce42631f1d57acdceeeb04246a5b07fa30975a5f64b5f8a0303a7052f8559d6",
        trained_on="a trunk trained on photographs, VLPT on 204,800 rendered images of two words "
        "each on plain backgrounds, whole vocabulary, seed 1",
        licence="Apache-2.0; start weights: Yahoo open_nsfw, BSD-2-Clause",
        not_for="use without training a detector on it",
        detects=False,
    ),
    Model(
        name="db_R_50",
        config="detection/icdar2015/db_R_50.yaml",
        summary="DB at the paper's size; a config without weights",
    ),
    Model(
        name="psenet_R_50",
        config="detection/icdar2015/psenet_R_50.yaml",
        summary="PSENet at the paper's size; a config without weights",
    ),
    Model(
        name="east_R_50",
        config="detection/icdar2015/east_R_50.yaml",
        summary="EAST at the paper's size; a config without weights",
    ),
)


def list_models(with_weights: bool = False, detectors: bool = False) -> list[str]:
    """Names of the models, those with weights first.

    Args:
        with_weights: leave out those that are a config only.
        detectors: leave out those that find no text.
    """
    return [
        model.name
        for model in _MODELS
        if (model.weights or not with_weights) and (model.detects or not detectors)
    ]


def get(name: str) -> Model:
    """Return a model's entry.

    Args:
        name: one of :func:`list_models`.

    Raises:
        ValueError: there is no such model; the message lists those that there are.
    """
    for model in _MODELS:
        if model.name == name:
            return model
    known = list_models()
    raise ValueError(
        f"there is no model {name!r}{did_you_mean(name, known)}; there are: {', '.join(known)}"
    )


def get_detector(name: str) -> Model:
    """Return the entry of a model that finds text.

    Raises:
        ValueError: there is no such model, or it finds no text.
    """
    model = get(name)
    if not model.detects:
        known = ", ".join(list_models(with_weights=True, detectors=True))
        raise ValueError(f"{name} finds no text: it is {model.summary}. Take one of {known}")
    return model


def get_config(name: str) -> CfgNode:
    """Return a model's config, not frozen; MODEL.WEIGHTS names its weights if it has any.

    Args:
        name: one of :func:`list_models`.

    Raises:
        ValueError: there is no such model.
    """
    from ..config import get_cfg

    model, cfg = get(name), get_cfg()
    cfg.merge_from_file(get_config_file(model.config))
    cfg.MODEL.WEIGHTS = f"{PREFIX}{name}" if model.weights else ""
    return cfg


def get_checkpoint(name: str) -> str:
    """Return the path of a model's weights, whose SHA-256 is compared.

    Args:
        name: one of :func:`list_models`.

    Raises:
        ValueError: there is no such model, or the file is not the one that was published.
        FileNotFoundError: the model has no weights, or they are not installed.
    """
    model = get(name)
    if not model.weights:
        raise FileNotFoundError(
            f"there are no weights of {name}: train them with --config-file {model.config}, or "
            f"take one of {', '.join(list_models(with_weights=True, detectors=True))}"
        )
    path = _weights_path(model)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != model.sha256:
        raise ValueError(
            f"{path} is damaged or of another version: its SHA-256 is {found}, that of {name} is "
            f"{model.sha256}. {_remedy(model)}"
        )
    return str(path)


def get_graph(name: str) -> str:
    """Return the path of a model's network as an ONNX file without weights.

    Next to it is the JSON of its settings.

    Args:
        name: one of :func:`list_models`, with weights.

    Raises:
        ValueError: there is no such model, or it finds no text.
        FileNotFoundError: there is no such file.
    """
    model = get_detector(name)
    path = _FOLDER / f"{name}.onnx"
    if not path.is_file():
        raise FileNotFoundError(f"{path}, the network of {name}, is missing. {_remedy(model)}")
    return str(path)


def _weights_path(model: Model) -> Path:
    path = _FOLDER / model.weights
    if not model.is_shipped:
        package = importlib.util.find_spec("rapidocr")
        # A folder of that name is found too, and has no origin.
        if package is None or package.origin is None:
            raise FileNotFoundError(
                f"the weights of {model.name} are in the package rapidocr, which is not installed. "
                f"{_remedy(model)}"
            )
        path = Path(package.origin).parent / model.weights.removeprefix(_RAPIDOCR)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}, the weights of {model.name}, is missing. {_remedy(model)}"
        )
    return path


def _remedy(model: Model) -> str:
    if model.is_shipped:
        return "Reinstall the package: pip install --force-reinstall --no-deps vlpt-d2"
    return "Run: pip install rapidocr==3.10.0"
