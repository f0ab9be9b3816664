"""Looking into a pre-trained model: where it looks, which words it takes for one another."""

from .attention import AttentionMaps, attend
from .loading import LoadedModel, Picture, load_for_inspection
from .neighbours import WordTable, load_bert_table, nearest_words
from .pointing import measure_pointing
from .reading import fill_masks, rank_captions

__all__ = [
    "AttentionMaps",
    "LoadedModel",
    "Picture",
    "WordTable",
    "attend",
    "fill_masks",
    "load_bert_table",
    "load_for_inspection",
    "measure_pointing",
    "nearest_words",
    "rank_captions",
]
