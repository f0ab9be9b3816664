"""TextField: a direction field for irregular scene text detection (Xu et al., TIP 2019)."""

from typing import TYPE_CHECKING

from ....utils.lazy import lazy_names
from .decode import decode_direction_field, group_pixels

if TYPE_CHECKING:
    from .head import TextFieldHead
    from .labels import draw_textfield_labels

__all__ = ["TextFieldHead", "decode_direction_field", "draw_textfield_labels", "group_pixels"]

# The head needs torch, which decoding does without.
__getattr__ = lazy_names(__name__, {"TextFieldHead": "head", "draw_textfield_labels": "labels"})
