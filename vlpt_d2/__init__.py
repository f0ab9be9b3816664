"""vlpt_d2: vision-language pre-training for scene text detectors, as a detectron2 plugin.

Importing the package loads neither torch nor detectron2. The first :func:`get_cfg` (or
:func:`add_vlpt_config` on a detectron2 config) registers its backbones, meta-architectures, mappers
and datasets with detectron2, and those of installed plugins; :func:`load_parts` does only that.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import model_zoo
    from .config import add_vlpt_config, get_cfg, load_parts
    from .detections import TextDetections
    from .predictor import TextPredictor

__version__ = "0.1.0"
__all__ = [
    "TextDetections",
    "TextPredictor",
    "__version__",
    "add_vlpt_config",
    "get_cfg",
    "load_parts",
    "model_zoo",
]

# Names that are imported when they are first used, and their modules.
_LAZY = {
    "TextDetections": ".detections",
    "TextPredictor": ".predictor",
    "add_vlpt_config": ".config",
    "get_cfg": ".config",
    "load_parts": ".config",
}


def __getattr__(name: str) -> Any:
    """Import a name on its first use (PEP 562)."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name], __name__), name)
    if name == "model_zoo":
        return importlib.import_module(".model_zoo", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
