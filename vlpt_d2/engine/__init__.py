"""The trainer, its hooks, and starting runs."""

from .defaults import ConfigError, load_config, setup
from .launch import argument_parser, main
from .trainer import TextTrainer
