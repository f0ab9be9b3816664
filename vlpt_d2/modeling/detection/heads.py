"""The detectors of the package: importing this module registers them, their mapper and keys."""

from . import config, mapper, text_detector
from .craft import CRAFTHead
from .db import DBHead
from .east import EASTHead
from .gnnets import GNNetsHead
from .psenet import PSENetHead
from .sae import SAEHead
from .seglink import SegLinkHead
from .textdragon import TextDragonHead
from .textfield import TextFieldHead
from .textsnake import TextSnakeHead
