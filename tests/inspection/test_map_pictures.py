"""Pictures of label maps and predicted maps."""

import cv2
import numpy as np
import pytest
from helpers.detectors import HEADS, detector_cfg, overfitted_detector, text_sample

from vlpt_d2.inspection.maps import draw_labels, draw_predictions, map_pictures
from vlpt_d2.visualization.detections import DETECTED, TRUTH

LOWEST, HIGHEST = (68, 1, 84), (253, 231, 37)  # of viridis


def test_values_become_colours_at_the_size_of_the_image():
    image = np.full((8, 12, 3), 100, np.uint8)
    flags = np.zeros((2, 3), np.uint8)
    flags[0, 2] = 1
    angles = np.array([[[0, 0.5], [1, 0]], [[-3, 5], [1, 1]]])
    pictures, titles = map_pictures(image, {"text": flags, "geometry": angles}, opacity=1.0)
    assert titles == ["text [0, 1]", "geometry 0 [0, 1]", "geometry 1 [-3, 5]"]
    assert all(p.shape == image.shape and p.dtype == np.uint8 for p in pictures)
    assert (np.abs(pictures[0][:4, 8:].astype(int) - HIGHEST) <= 1).all()
    assert (np.abs(pictures[0][4:].astype(int) - LOWEST) <= 1).all()
    assert (np.abs(pictures[2][0, 0].astype(int) - LOWEST) <= 1).all()
    assert (np.abs(pictures[2][0, 11].astype(int) - HIGHEST) <= 1).all()
    half, _ = map_pictures(image, {"text": flags}, opacity=0.5)
    assert (np.abs(half[0][7, 0].astype(int) - (np.array(LOWEST) + 100) / 2) <= 1).all()
    # A constant map outside [0, 1] has no range to stretch.
    assert map_pictures(image, {"x": np.full((2, 3), 7.0)})[1] == ["x [7, 7]"]
    with pytest.raises(ValueError, match="'text' has shape"):
        map_pictures(image, {"text": np.zeros(3)})


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
def test_labels_and_predictions_of_every_head(head, image_format, tmp_path):
    cfg = detector_cfg(head, "tiny", INPUT__FORMAT=image_format)
    cfg.INPUT.DETECTION.TEST_RESIZE = "fixed"
    cfg.INPUT.DETECTION.TEST_SIZE = (96, 104)  # padded to 128 wide
    image = np.full((48, 52, 3), (0, 0, 200), np.uint8)
    cv2.imwrite(str(tmp_path / "red.png"), image)
    ring = [10, 12, 42, 12, 42, 36, 10, 36]
    annotation = {"segmentation": [ring], "bbox": [10, 12, 42, 36], "bbox_mode": 0, "iscrowd": 0}
    record = {"file_name": str(tmp_path / "red.png"), "annotations": [annotation], "image_id": 0}
    labels = draw_labels(cfg, record, columns=2)
    cell = labels[22 : 22 + 96, 4 : 4 + 104]
    assert tuple(cell[5, 5]) == (200, 0, 0)  # red whatever the order of the channels
    # The polygon of the original image, twice as large.
    assert (np.abs(cell[24, 30:70].astype(int) - TRUTH) < 40).all()

    none = draw_labels(cfg, record, columns=2, names=["no such map"])
    np.testing.assert_array_equal(none[22:118, 4:108], cell)
    assert none.size < labels.size

    sample = text_sample(cfg, (96, 104))
    model = overfitted_detector(cfg, sample, 3 if image_format == "BGR" else 60)
    cv2.imwrite(str(tmp_path / "text.png"), sample["image"].numpy().transpose(1, 2, 0)[:, :, ::-1])
    record["file_name"] = str(tmp_path / "text.png")
    sheet = draw_predictions(cfg, model, record, columns=2)
    near = (np.abs(sheet[22:118, 4:108].astype(int) - DETECTED) < 40).all(axis=-1).sum()
    assert (near > 100) or image_format == "BGR"
    # A window shows that part of every cell.
    part = draw_predictions(cfg, model, record, (10, 20, 60, 50), columns=2)
    np.testing.assert_array_equal(part[22:52, 4:54], sheet[42:72, 14:64])
    with pytest.raises(ValueError, match="not within the image of 104 x 96"):
        draw_predictions(cfg, model, record, (10, 20, 105, 50))
