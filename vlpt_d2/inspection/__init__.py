"""Looking into a pre-trained model: where it looks, which words it takes for one another."""

from .attention import AttentionMaps, attend
from .loading import Inspected, Picture, load_inspected
from .neighbours import WordTable, load_bert_table, nearest_words
from .pointing import measure_pointing
from .reading import Guess, fill_masks, rank_captions

__all__ = [
    "AttentionMaps",
    "Guess",
    "Inspected",
    "Picture",
    "WordTable",
    "attend",
    "fill_masks",
    "load_bert_table",
    "load_inspected",
    "measure_pointing",
    "nearest_words",
    "rank_captions",
]
