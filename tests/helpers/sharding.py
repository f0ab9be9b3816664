"""Small folders of photographs as dataset dicts."""

from pathlib import Path

import numpy as np
from detectron2.structures import BoxMode
from PIL import Image


def image_folder(folder: Path, count: int) -> list[dict]:
    """Noise images ``0.png`` ..., numbered by ``image_id``; every fourth has nothing to learn."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    dicts = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (24, 36, 3), np.uint8)).save(path)
        texts = [] if number % 8 == 0 else ["Joy", "中文, ###"][: 1 + number % 2]
        annotations = [
            {
                "bbox": [4.0, 5.0, 14.5, 15.0],
                "bbox_mode": BoxMode.XYXY_ABS,
                "category_id": 0,
                "segmentation": [[4.0, 5.0, 14.5, 5.0, 14.5, 15.0, 4.0, 15.0]],
                "iscrowd": int(number % 8 == 4),
                "text": text,
            }
            for text in texts
        ]
        record = {"file_name": str(path), "height": 24, "width": 36, "image_id": number}
        dicts.append({**record, "annotations": annotations})
    return dicts
