"""Strips of 60,000 pixels: nothing on their way makes a canvas of their length squared."""

import math

import cv2
import numpy as np
import pytest
from helpers.miniatures import image as write_image

from vlpt_d2.data.mapper import build_mapper
from vlpt_d2.data.transforms import AffineTransform
from vlpt_d2.engine import load_config
from vlpt_d2.inspection.browse import browse_dataset

CONFIGS = [
    "detection/icdar2015/db_R_50.yaml",
    "detection/msra_td500/db_R_50.yaml",
    "detection/icdar2015/psenet_R_50.yaml",
    "detection/icdar2015/east_R_50.yaml",
    "quickstart/pretrain.yaml",
]


def strip(folder, size):
    path = folder / "strip.png"
    write_image(path, size)
    # A word every 500 pixels along the strip.
    boxes = [[x + 1, 1, x + 8, 8] for x in range(0, 60_000, 500)]
    if size[1] > size[0]:
        boxes = [[y0, x0, y1, x1] for x0, y0, x1, y1 in boxes]
    annotations = [
        {
            "bbox": [x0, y0, x1, y1],
            "bbox_mode": 0,
            "category_id": 0,
            "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
            "iscrowd": 0,
            "text": "word",
        }
        for x0, y0, x1, y1 in boxes
    ]
    record = {"file_name": str(path), "image_id": 1, "annotations": annotations}
    return record | {"width": size[0], "height": size[1]}


@pytest.mark.parametrize("size", [(60_000, 10), (10, 60_000)])
@pytest.mark.parametrize("config", CONFIGS)
def test_mappers_make_no_huge_canvas(tmp_path, monkeypatch, config, size):
    record, made = strip(tmp_path, size), []
    apply = AffineTransform.apply_image

    def counted(self, image, *args, **options):
        made.append(math.prod(self.output_size))
        return apply(self, image, *args, **options)

    monkeypatch.setattr(AffineTransform, "apply_image", counted)
    cfg = load_config(config)
    for is_train in (True, False):
        mapper = build_mapper(cfg, is_train)
        for seed in range(6):
            np.random.seed(seed)
            shape = mapper(dict(record))["image"].shape
            assert shape[0] == 3
            assert math.prod(shape) < 2**25
    assert max(made, default=0) <= 2**25


def test_pages_show_them(tmp_path):
    for size in ((60_000, 10), (10, 60_000)):
        page = browse_dataset([strip(tmp_path, size)], tmp_path / "page")
        assert max(cv2.imread(str(page.parent / "0000.jpg")).shape) == 1600
