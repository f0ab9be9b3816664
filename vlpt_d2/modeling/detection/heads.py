"""The detectors of the package: importing this module registers them, their mapper and keys."""

from . import config, mapper, text_detector
from .craft.head import CRAFTHead
from .db.head import DBHead
from .east.head import EASTHead
from .gnnets.head import GNNetsHead
from .psenet.head import PSENetHead
from .sae.head import SAEHead
from .seglink.head import SegLinkHead
from .textdragon.head import TextDragonHead
from .textfield.head import TextFieldHead
from .textsnake.head import TextSnakeHead
