"""Reading, comparing, converting and writing weights."""

from .errors import CheckpointError
from .files import read_checkpoint
from .layouts import TRUNK_PREFIX, TrunkLayout, trunk_layout
from .metadata import describe_trunk, trunk_mismatches
from .norms import reestimate_norms
from .text_checkpointer import TextCheckpointer
from .trunk import EXPORT_LAYOUTS, extract_trunk, save_trunk
