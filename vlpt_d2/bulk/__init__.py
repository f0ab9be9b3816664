"""Finding the texts of many images: rows of Parquet, in shards that are whole or not there.

A shard is a tar file of WebDataset, or some of the images of a folder. A process, or a worker of
Ray, takes shards that have no file yet and writes theirs.
"""

from .detector import SCHEMA, BulkDetector
from .run import BulkDone, detect_bulk
from .shards import Shard, list_shards

__all__ = ["SCHEMA", "BulkDetector", "BulkDone", "Shard", "detect_bulk", "list_shards"]
