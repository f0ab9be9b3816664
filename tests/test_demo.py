"""What the page of ``vlpt-d2 demo`` does, without a browser."""

import json
import socket
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.inspection import tiny_inspected
from helpers.signs import SMALL, sign
from PIL import Image

from vlpt_d2 import TextPredictor
from vlpt_d2.cli.main import main
from vlpt_d2.data.image_io import CorruptImageError
from vlpt_d2.demo import Demo, build_page, serve


@pytest.fixture(scope="module")
def predictor():
    return TextPredictor("db_mobile", opts=SMALL, device="cpu")


@pytest.fixture(scope="module")
def demo(predictor, tmp_path_factory):
    return Demo(predictor, tiny_inspected(tmp_path_factory.mktemp("vlpt")))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A photo of two words."""
    file = tmp_path_factory.mktemp("photo") / "sign.png"
    sign()[0].save(file)
    return str(file)


def test_its_detections_are_the_predictors(demo, predictor, path):
    found = demo.detect(demo.look(path), demo.thresholds.values())
    expected = predictor(path)
    assert len(found) == 2 and found.file_name == "sign.png"
    for ours, theirs in zip(found.polygons, expected.polygons, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found.image, np.asarray(Image.open(path)))


def test_thresholds_move_without_the_network(demo, path, monkeypatch):
    photo = demo.look(path)
    monkeypatch.setattr(demo._detector, "run", None)
    scores = demo.detect(photo, [0.35, 0.0]).scores
    between = float(np.sort(scores)[:2].mean())
    assert len(demo.detect(photo, [0.35, between])) == len(scores) - 1
    assert demo.detect(photo, [0.35, 1.0]).scores.size == 0
    now = demo._head.decoding
    assert [now[name] for name in demo._head.threshold_keys] == [*demo.thresholds.values()]


def test_maps_are_bright_on_the_words(demo, path):
    photo = demo.look(path)
    (picture, title), *_ = demo.maps(photo)
    assert title.startswith("probability") and picture.shape == photo.resized.shape
    scale = picture.shape[1] / 224
    word, ground = (picture[int(y * scale), int(x * scale)] for x, y in ((80, 48), (10, 150)))
    assert int(word[1]) > int(ground[1]) + 60  # green: from dark violet to yellow


def test_files_for_download(demo, path):
    found = demo.detect(demo.look(path), demo.thresholds.values())
    written, archive = demo.files(found)
    assert json.loads(Path(written).read_text()) == found.to_dict()
    with zipfile.ZipFile(archive) as file:
        sizes = [Image.open(file.open(name)).size for name in sorted(file.namelist())]
    assert sizes == [crop.size for crop in found.crops()]
    assert demo.files(demo.detect(demo.look(path), [0.35, 1.0]))[1] is None


def test_where_vlpt_looks(demo, path):
    one, two = (demo.attention(path, words) for words in ("bar", "exits bar"))
    assert one.dtype == np.uint8 and two.shape[0] > one.shape[0]
    with pytest.raises(ValueError, match="no words are given"):
        demo.attention(path, "  ")


def test_a_broken_photo(demo, tmp_path):
    (tmp_path / "x.jpg").write_text("no image")
    with pytest.raises(CorruptImageError, match=r"x\.jpg"):
        demo.look(str(tmp_path / "x.jpg"))


def test_the_page_has_a_slider_for_each_threshold(demo):
    gradio = pytest.importorskip("gradio")
    page = build_page(demo, "db_mobile")
    sliders = [b for b in page.blocks.values() if isinstance(b, gradio.Slider)]
    assert {slider.label: slider.value for slider in sliders} == demo.thresholds


def test_a_port_in_use(demo):
    pytest.importorskip("gradio")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=rf"port {port} of 127.0.0.1.*--port"):
            serve(build_page(demo, "db_mobile"), "127.0.0.1", port)


def test_without_gradio_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["demo"]) == 1
    assert "pip install 'vlpt-d2[demo]'" in capsys.readouterr().err
