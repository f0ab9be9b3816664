"""The round trip of every shipped detector: its own labels, decoding keys and test size."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec

from vlpt_d2.data.transforms import TextAugInput, build_detection_augmentation
from vlpt_d2.engine import load_config
from vlpt_d2.model_zoo import get_config_file, list_configs
from vlpt_d2.modeling.detection import build_label_function, build_text_head

from .perfect_maps import perfect_maps
from .round_trip import Outcome, Texts, round_trip

# Of a network without weights, as narrow as it gets: decoding does not ask.
_SHAPES = {f"res{i + 2}": ShapeSpec(channels=8, stride=4 * 2**i) for i in range(4)}
_NARROW = {
    "DBHead": ("DB", 8),
    "EASTHead": ("EAST", (8, 8, 8)),
    "GNNetsHead": ("EAST", (8, 8, 8)),
    "PSENetHead": ("PSENET", 8),
    "SAEHead": ("SAE", 8),
    "TextFieldHead": ("TEXTFIELD", 8),
}


class Setting:
    """What a config says about labels, decoding and the size of test images.

    Configs with equal ``key`` find the same texts on perfect maps.
    """

    def __init__(self, cfg: CfgNode):
        name = cfg.MODEL.TEXT_HEAD.NAME
        cfg = cfg.clone()
        cfg.defrost()
        if name in _NARROW:
            node, channels = _NARROW[name]
            cfg.MODEL[node].NECK_CHANNELS = channels
        cfg.MODEL.DB.NECK = "DBNeck"
        cfg.MODEL.TEXT_HEAD.IN_FEATURES = list(_SHAPES)
        self.labels = build_label_function(cfg)
        self.head = build_text_head(cfg, _SHAPES).eval()
        self.rectangles = cfg.MODEL.TEXT_HEAD.OUTPUT == "box"
        (self.resize,) = build_detection_augmentation(cfg, False)
        stride = getattr(self.head, "decode_stride", None)
        keywords = getattr(self.labels, "keywords", None)
        self.key = str((name, keywords, self.head.decoding, stride, self.size((720, 1280))))

    def size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) that an image of (H, W) is tested at."""
        inputs = TextAugInput(np.zeros((*image_size, 1), np.uint8))
        self.resize(inputs)
        return inputs.image_size

    def outcomes(
        self, images: Sequence[Texts], required_iou: float = 0.5, resized: bool = True
    ) -> list[Outcome]:
        """How the texts of images come back, in pixels of the test size or of the images."""
        return round_trip(
            [self._resized(image) for image in images] if resized else images,
            labels=self.labels,
            perfect_maps=self.perfect,
            decode=self.head.decode,
            labelled=_shows_text,
            rectangles=self.rectangles,
            required_iou=required_iou,
        )

    def perfect(self, maps):
        """What a perfect network predicts, of label maps."""
        return perfect_maps(self.head, maps)

    def _resized(self, image: Texts) -> Texts:
        height, width = self.size(image.image_size)
        scale = (width / image.image_size[1], height / image.image_size[0])
        polygons = [np.float32(p * scale) for p in image.polygons]
        characters = image.characters and [quads * scale for quads in image.characters]
        size = height, width
        return Texts(image.name, polygons, image.ignore, size, image.words, characters)


def shipped_settings() -> list[tuple[list[str], Setting]]:
    """The settings of the shipped detectors, each with the names of the configs that share it.

    Those for small rendered images, where words of photographs are a few pixels, are left out.
    """
    names, settings = defaultdict(list), {}
    for name in list_configs():
        cfg = load_config(get_config_file(name))
        if cfg.MODEL.META_ARCHITECTURE == "TextDetector":
            setting = Setting(cfg)
            if min(setting.size((720, 1280))) >= 448:
                settings.setdefault(setting.key, setting)
                names[setting.key].append(name)
    return [(names[key], setting) for key, setting in settings.items()]


def _shows_text(maps: dict[str, np.ndarray]) -> bool:
    names = [n for n in maps if n.startswith(("text", "region")) and "mask" not in n]
    return any(maps[name].any() for name in names)
