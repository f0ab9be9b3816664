"""Images of white words, their dataset dicts, and a tiny config of VLPT with a DB head."""

import cv2
import numpy as np

from .pretraining import tiny_vlpt_cfg

SIZE = (64, 96)
PLACES = [
    [[8, 10], [50, 6], [52, 22], [9, 27]],
    [[40, 36], [88, 40], [87, 58], [39, 54]],
    [[10, 38], [30, 38], [30, 56], [10, 56]],
]


def regions_cfg(folder, **options):
    """VLPTWithDetection at 64 pixels; ``options`` are keys with "__" for the dot."""
    cfg = tiny_vlpt_cfg(folder)
    cfg.merge_from_list(
        [
            "MODEL.META_ARCHITECTURE", "VLPTWithDetection",
            "MODEL.RESNETS.DEPTH", 50,
            "MODEL.RESNETS.STEM_OUT_CHANNELS", 8,
            "MODEL.RESNETS.RES2_OUT_CHANNELS", 32,
            "MODEL.RESNETS.WIDTH_PER_GROUP", 8,
            "MODEL.TEXT_HEAD.NORM", "BN",
            "MODEL.DB.NECK_CHANNELS", 32,
            "MODEL.DB.MIN_TEXT_SIZE", 4.0,
            "MODEL.DB.BINARY_THRESH", 0.55,
            "MODEL.DB.BOX_THRESH", 0.55,
            "MODEL.REGIONS.WEIGHT", 0.5,
            "MODEL.IMAGE_ENCODER.POSITION_GRID", [4, 4],
            "INPUT.DATASET_MAPPER_NAME", "regions",
            "INPUT.PRETRAIN.SIZE", (64, 64),
            "INPUT.FORMAT", "RGB",
        ]
    )  # fmt: skip
    cfg.merge_from_list([x for k, v in options.items() for x in (k.replace("__", "."), v)])
    return cfg


def word_record(folder, words, places=None, ignored=(), colour=255):
    """The dataset dict of an image with one white shape for each word.

    Args:
        folder: where the image is written.
        words: their texts; a ``None`` is a shape that is not annotated as a word but as "###".
        places: polygons; the first of PLACES if not given.
        ignored: numbers of words that are don't-care regions.
        colour: of all shapes.
    """
    image = np.full((*SIZE, 3), 40, np.uint8)
    places = PLACES[: len(words)] if places is None else places
    annotations = []
    for i, (word, place) in enumerate(zip(words, places)):
        cv2.fillPoly(image, [np.array(place, np.int32)], (colour,) * 3)
        annotations.append(
            {
                "text": word or "###",
                "iscrowd": int(i in ignored or word is None),
                "segmentation": [np.ravel(place).astype(float).tolist()],
                "bbox": [0.0, 0.0, 1.0, 1.0],
                "bbox_mode": 0,
            }
        )
    name = f"{'-'.join(str(w) for w in words) or 'empty'}.png"
    cv2.imwrite(str(folder / name), image)
    return {
        "file_name": str(folder / name),
        "image_id": name,
        "height": SIZE[0],
        "width": SIZE[1],
        "annotations": annotations,
    }
