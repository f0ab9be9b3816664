"""Reading, comparing, converting and writing weights."""

from typing import TYPE_CHECKING

from ..utils.lazy import lazy_names
from .errors import CheckpointError

if TYPE_CHECKING:
    from .files import read_checkpoint
    from .metadata import describe_trunk, trunk_mismatches
    from .published import save_weights
    from .resnet_formats import TRUNK_PREFIX, TrunkLayout, trunk_layout
    from .text_checkpointer import TextCheckpointer
    from .trunk import EXPORT_LAYOUTS, extract_trunk, save_trunk
    from .unfold_batch_norm import reestimate_norms

# Arrays for exported graphs are read without torch.
__getattr__ = lazy_names(
    __name__,
    {
        "EXPORT_LAYOUTS": "trunk",
        "TRUNK_PREFIX": "resnet_formats",
        "TextCheckpointer": "text_checkpointer",
        "TrunkLayout": "resnet_formats",
        "describe_trunk": "metadata",
        "extract_trunk": "trunk",
        "read_checkpoint": "files",
        "reestimate_norms": "unfold_batch_norm",
        "save_trunk": "trunk",
        "save_weights": "published",
        "trunk_layout": "resnet_formats",
        "trunk_mismatches": "metadata",
    },
)
