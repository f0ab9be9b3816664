"""Reading, comparing, converting and writing weights."""

from .errors import CheckpointError
from .files import read_checkpoint
from .metadata import describe_trunk, trunk_mismatches
from .published import save_weights
from .resnet_formats import TRUNK_PREFIX, TrunkLayout, trunk_layout
from .text_checkpointer import TextCheckpointer
from .trunk import EXPORT_LAYOUTS, extract_trunk, save_trunk
from .unfold_batch_norm import reestimate_norms
