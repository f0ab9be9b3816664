"""A plugin of vlpt_d2: importing it registers a text head with its keys, and a dataset."""

from . import config, dataset, head
