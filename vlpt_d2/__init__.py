"""vlpt_d2: vision-language pre-training for scene text detectors, as a detectron2 plugin.

Importing the package registers its backbones, meta-architectures, text heads and datasets with
detectron2; :func:`vlpt_d2.config.add_vlpt_config` adds its keys to a detectron2 config.

Where torch, torchvision, OpenCV or detectron2 is missing or broken, the import still succeeds, so
that ``vlpt-d2 doctor`` can run and name the remedy; the first use of anything else then fails
with the original error.
"""

import importlib
import importlib.util
import traceback
from pathlib import Path

__version__ = "0.1.0"
__all__ = ["TextDetections", "TextPredictor", "__version__", "add_vlpt_config", "get_cfg"]

# Names that are imported when they are first used, and their modules.
_LAZY = {"TextDetections": ".detections", "TextPredictor": ".predictor"}

# Why the plugin could not be loaded; None when all is well.
import_error: Exception | None = None


def _is_foreign(error: Exception) -> bool:
    """Whether an error came out of a library, and not out of this package's own lines."""
    if isinstance(error, ImportError) and error.name is not None:
        return error.name.partition(".")[0] != __name__
    where = traceback.extract_tb(error.__traceback__)[-1].filename
    return Path(__file__).parent not in Path(where).parents or isinstance(error, ImportError)


try:
    from . import data, evaluation, modeling  # registers datasets, backbones, meta-architectures
    from .config import add_vlpt_config, get_cfg
    from .model_zoo import handler  # registers vlpt://
except Exception as error:
    if not _is_foreign(error):
        raise
    import_error = error


def __getattr__(name: str):
    """Called for names that are not there (PEP 562): import them, or say why that cannot be.

    So ``vlpt_d2.model_zoo`` works without importing it.
    """
    if import_error is not None and name in __all__:
        raise ImportError(
            f"vlpt_d2 cannot be used: {type(import_error).__name__}: {import_error}. "
            "Run 'vlpt-d2 doctor' for the remedy."
        ) from import_error
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name], __name__), name)
    if not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
