"""vlpt_d2: vision-language pre-training for scene text detectors, as a detectron2 plugin.

Importing the package loads neither torch nor detectron2. The first :func:`get_cfg` (or
:func:`add_vlpt_config` on a detectron2 config) registers its backbones, meta-architectures, mappers
and datasets with detectron2, and those of installed plugins; :func:`load_parts` does only that.
"""

from typing import TYPE_CHECKING

from .utils.lazy import lazy_names
from .utils.quiet import hide_library_warnings

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

hide_library_warnings()

__getattr__ = lazy_names(
    __name__,
    {
        "TextDetections": "detections",
        "TextPredictor": "predictor",
        "add_vlpt_config": "config",
        "get_cfg": "config",
        "load_parts": "config",
        "model_zoo": "model_zoo",
    },
)
