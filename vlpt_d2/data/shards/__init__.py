"""Datasets as tar files, by WebDataset's convention: for clusters and object stores."""

from .dataset import ShardedDicts, open_shards, register_shards, register_shards_from_config
from .streams import ShardStreams, StreamSplit
from .write import write_shards

__all__ = [
    "ShardStreams",
    "ShardedDicts",
    "StreamSplit",
    "open_shards",
    "register_shards",
    "register_shards_from_config",
    "write_shards",
]
