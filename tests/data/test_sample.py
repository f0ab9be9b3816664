"""load_sample: reading, restoring, rendering, and the errors of broken files."""

import copy
import sys
import types

import cv2
import numpy as np
import pytest
from detectron2.data.detection_utils import SizeMismatchError
from detectron2.structures import BoxMode
from PIL import Image

from vlpt_d2.data.sample import CorruptImageError, load_sample
from vlpt_d2.structures import TextInstances


def _annotation():
    return {
        "bbox": [3.0, 9.0, 15.0, 18.0],
        "bbox_mode": BoxMode.XYXY_ABS,
        "category_id": 0,
        "segmentation": [[3.0, 9.0, 15.0, 9.0, 15.0, 18.0, 3.0, 18.0]],
        "iscrowd": 0,
        "text": "a",
    }


@pytest.fixture
def sample(tmp_path):
    """A 36x30 (width x height) image, red in RGB, whose word is black."""
    image = np.zeros((30, 36, 3), np.uint8)
    image[..., 2] = 255  # OpenCV writes BGR
    image[9:18, 3:15] = 0
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), image)
    return {"file_name": str(path), "height": 30, "width": 36, "annotations": [_annotation()]}


def test_formats(sample):
    before = copy.deepcopy(sample)
    rgb, texts = load_sample(sample, "RGB")
    bgr, _ = load_sample(sample, "BGR")
    assert rgb.shape == (30, 36, 3)
    assert rgb.dtype == np.uint8
    assert rgb[0, 0].tolist() == [255, 0, 0]
    np.testing.assert_array_equal(rgb[..., ::-1], bgr)
    assert texts.to_annotations() == sample["annotations"]
    texts.polygons[0][0] = -1
    assert sample == before


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_grey_images_of_any_depth(sample, depth):
    """A ramp over the whole range of its bits."""
    grey = np.linspace(0, np.iinfo(depth).max, 36).astype(depth)
    cv2.imwrite(sample["file_name"], np.tile(grey, (30, 1)))
    image, _ = load_sample(dict(sample), "RGB")
    assert image.shape == (30, 36, 3)
    expected = np.linspace(0, 255, 36)
    assert np.abs(image[0].astype(float) - expected[:, None]).max() <= 1


def test_dark_images_of_16_bits_stay_dark(tmp_path):
    path = tmp_path / "dark.tiff"
    Image.fromarray(np.full((4, 5), 200, np.uint16)).save(path)
    image, _ = load_sample({"file_name": str(path), "height": 4, "width": 5}, "RGB")
    assert image.max() == 0  # 200 of 65535


def test_boxes_without_polygons_are_restored(sample):
    annotation = _annotation()
    del annotation["segmentation"]
    asked = sample | {"restore_size": (60, 72), "annotations": [annotation]}
    _, texts = load_sample(asked, "RGB")
    assert texts.bounds().tolist() == [[6.0, 18.0, 30.0, 36.0]]


def test_restores_image_and_annotations_together(sample):
    asked = sample | {"restore_size": (60, 48)}
    asked["annotations"][0]["characters"] = [[3, 9, 6, 9, 6, 18, 3, 18]]
    image, texts = load_sample(asked, "RGB")
    assert image.shape == (60, 48, 3)
    assert (asked["height"], asked["width"]) == (30, 36)
    assert texts.polygons[0].tolist() == [[4, 18], [20, 18], [20, 36], [4, 36]]
    assert texts.characters[0].tolist() == [[[4, 18], [8, 18], [8, 36], [4, 36]]]
    x0, y0, x1, y1 = texts.bounds()[0].astype(int)
    dark = image[..., 0] < 128
    assert dark[y0:y1, x0:x1].all()
    assert dark.sum() == (y1 - y0) * (x1 - x0)


def test_restoring_is_optional(sample):
    asked = sample | {"restore_size": (60, 48)}
    image, texts = load_sample(asked, "RGB", restore_size=False)
    assert image.shape == (30, 36, 3)
    assert texts.to_annotations() == [_annotation()]
    same = sample | {"restore_size": (30, 36)}
    assert load_sample(same, "RGB")[1].to_annotations() == [_annotation()]


def test_missing_file(sample):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png.*DETECTRON2_DATASETS"):
        load_sample(sample | {"file_name": "nowhere.png"}, "RGB")


@pytest.mark.parametrize("kind", ["truncated", "text", "empty"])
def test_corrupt_file(sample, tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)
    whole = cv2.imencode(".jpg", noise)[1].tobytes()
    path = tmp_path / "broken.jpg"
    path.write_bytes({"truncated": whole[: len(whole) // 2], "text": b"hello", "empty": b""}[kind])
    with pytest.raises(CorruptImageError, match=r"broken\.jpg.*Replace the file"):
        load_sample({"file_name": str(path), "height": 90, "width": 90}, "RGB")


def test_wrong_size(sample):
    with pytest.raises(SizeMismatchError, match=r"image\.png.*is 36x30.*has 30x36"):
        load_sample(sample | {"height": 36, "width": 30}, "RGB")


def test_exif_rotation_is_applied(tmp_path):
    from PIL import Image

    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    Image.new("RGB", (20, 10)).save(path, exif=exif)
    image, _ = load_sample({"file_name": str(path), "height": 20, "width": 10}, "RGB")
    assert image.shape == (20, 10, 3)


def test_rendered_samples_are_not_read(monkeypatch):
    """The recipe goes to the renderer as it is, and its RGB image comes in the asked order."""
    fake = types.ModuleType("vlpt_d2.data.rendering")
    red = np.zeros((8, 12, 3), np.uint8)
    red[..., 0] = 255

    def render_sample(recipe):
        assert recipe == {"seed": 5}
        return red, TextInstances.from_annotations([_annotation()])

    fake.render_sample = render_sample
    monkeypatch.setitem(sys.modules, "vlpt_d2.data.rendering", fake)
    dataset_dict = {"render": {"seed": 5}, "image_id": 3}
    image, texts = load_sample(dataset_dict, "BGR")
    assert image[0, 0].tolist() == [0, 0, 255]
    assert image.shape == (8, 12, 3)
    assert len(texts) == 1
    with pytest.raises(ValueError, match="YUV"):
        load_sample({"render": {"seed": 5}}, "YUV-BT.601")
