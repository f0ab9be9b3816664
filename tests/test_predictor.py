"""Words that were drawn are found, in every form an image comes in, as an evaluation finds them."""

import io
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.layers import Conv2d, FrozenBatchNorm2d
from helpers.signs import SMALL, overlap, sign
from PIL import Image
from safetensors.torch import load_file, save_file

from vlpt_d2 import TextDetections, TextPredictor, model_zoo
from vlpt_d2.checkpoint import CheckpointError
from vlpt_d2.data.datasets.formats import read_folder
from vlpt_d2.data.image_io import CorruptImageError
from vlpt_d2.engine.launch import main as train_net
from vlpt_d2.evaluation.file_evaluation import evaluate_files
from vlpt_d2.modeling.fusing import fuse_norms

ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def predictor():
    return TextPredictor("db_mobile", opts=SMALL, device="cpu")


@pytest.fixture(scope="module")
def picture():
    return sign()[0]


@pytest.fixture(scope="module")
def expected(predictor, picture):
    """What is found in the picture, as arrays."""
    return predictor(picture)


def assert_same(found, expected):
    assert len(found) == len(expected) > 0
    np.testing.assert_array_equal(found.scores, expected.scores)
    for ours, theirs in zip(found.polygons, expected.polygons):
        np.testing.assert_array_equal(ours, theirs)


def assert_finds(found, boxes, least=0.6):
    """Whether exactly the texts in the boxes were found."""
    assert len(found) == len(boxes)
    for box in boxes:
        assert max(overlap(polygon, box) for polygon in found.polygons) > least


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_words_are_found_where_they_stand(predictor):
    image, boxes = sign()
    found = predictor(image)
    assert isinstance(found, TextDetections)
    assert_finds(found, boxes)
    assert found.image_size == (160, 224)
    assert found.scores.dtype == np.float32
    assert (found.scores >= 0.6).all()
    assert all(p.shape == (4, 2) and p.dtype == np.float32 for p in found.polygons)
    assert len(found.instances) == 2
    assert found.instances.pred_boxes.tensor.shape == (2, 4)


def test_a_picture_without_text(predictor):
    found = predictor(np.full((90, 120, 3), 200, np.uint8))
    assert len(found) == 0
    assert found.polygons == found.crops() == []
    assert found.to_dict()["texts"] == []
    assert np.asarray(found.draw()).shape == (90, 120, 3)


def test_polygons_are_in_the_pixels_of_the_image(predictor):
    image, boxes = sign()
    large = image.resize((3 * image.width, 2 * image.height))
    assert_finds(predictor(large), [box * (3, 2, 3, 2) for box in boxes], 0.5)


def test_every_form_of_an_image(predictor, picture, expected, tmp_path):
    path = tmp_path / "Grüße 写真.png"
    picture.save(path)
    rgb = np.array(picture)
    tensor = torch.from_numpy(rgb.transpose(2, 0, 1).copy())
    forms = [
        str(path), path, path.read_bytes(), picture, rgb, tensor, tensor.float() / 255,
        rgb.astype(np.uint16) * 257, rgb.astype(np.int64), rgb / 255, rgb[::-1][::-1],
        tensor.double() / 255,
    ]  # fmt: skip
    for form in forms:
        assert_same(predictor(form), expected)
    assert_same(predictor(rgb[:, :, ::-1], image_format="BGR"), expected)
    opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    assert_same(predictor(opaque), expected)
    assert predictor(path).file_name == str(path)
    assert predictor(rgb).file_name is None


def test_grey_images_of_any_depth(predictor, picture):
    grey = np.array(picture.convert("L"))
    expected = predictor(np.dstack([grey] * 3))
    wide = Image.fromarray(grey.astype(np.uint16) * 257)
    forms = [grey, grey[:, :, None], torch.from_numpy(grey), torch.from_numpy(grey)[None]]
    forms += [
        grey.astype(np.uint16) * 257,
        grey.astype(">u2") * 257,
        Image.fromarray(grey),
        wide,
        encoded(wide, "PNG"),
    ]
    for form in forms:
        assert_same(predictor(form), expected)


def test_other_colours_and_depths_of_files(predictor, picture):
    boxes = sign()[1]
    for content in (
        encoded(picture.convert("CMYK"), "JPEG", quality=95),
        encoded(picture.convert("P", palette=Image.Palette.ADAPTIVE), "GIF"),
        encoded(picture.convert("L").point(lambda v: 255 * (v > 120)).convert("1"), "PNG"),
    ):
        assert_finds(predictor(content), boxes, 0.5)


def test_transparency_does_not_hide_words(predictor):
    # Black ink on nothing: only white behind it shows the words.
    image, boxes = sign()
    alpha = Image.fromarray(np.where(np.array(image.convert("L")) < 120, 255, 0).astype(np.uint8))
    ink = Image.new("RGBA", image.size, (0, 0, 0, 0))
    ink.putalpha(alpha)
    assert_finds(predictor(ink), boxes, 0.5)
    assert_finds(predictor(np.array(ink)), boxes, 0.5)


def test_files_are_turned_as_they_are_shown(predictor, picture, expected):
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned clockwise to be seen
    stored = picture.transpose(Image.Transpose.ROTATE_90)
    content = encoded(stored, "PNG", exif=exif)
    found = predictor(content)
    assert found.image_size == (160, 224)
    assert_same(found, expected)
    # An image in memory keeps its pixels, so that they fit what its owner draws on it.
    assert predictor(Image.open(io.BytesIO(content))).image_size == (224, 160)


def test_lists_and_iterators(predictor, picture, expected):
    rgb = np.array(picture)
    for images in ([rgb, picture], (rgb, picture), (image for image in (rgb, picture))):
        found = predictor(images)
        assert isinstance(found, list)
        assert len(found) == 2
        for one in found:
            assert_same(one, expected)
    assert predictor([]) == []
    endless = predictor.iterate(itertools.repeat(rgb))
    assert_same(next(endless), expected)


def test_batches_do_not_change_what_is_found(picture, predictor):
    other = sign(("a", "shop", "DOOR"), (200, 200))[0]
    images = [picture, other, picture.rotate(4), other, picture.resize((100, 60))]
    # Channels-last kernels of one and of several images may differ in the last digits.
    batched = TextPredictor("db_mobile", opts=SMALL, device="cpu", batch_size=4)(images)
    for one, found in zip(images, batched):
        alone = predictor(one)
        assert len(found) == len(alone)
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-4)
        for ours, theirs in zip(found.polygons, alone.polygons):
            np.testing.assert_allclose(ours, theirs, atol=1e-2)
    sizes = [(160, 224), (200, 200), (160, 224), (200, 200), (60, 100)]
    assert [found.image_size for found in batched] == sizes


@pytest.fixture
def float32(monkeypatch):
    """On a CPU that computes in bfloat16, results of equal networks differ in the fourth digit."""
    monkeypatch.setattr("vlpt_d2.engine.step._computes_bfloat16", lambda: False)


@pytest.mark.parametrize("model", ["db_mobile", "db_R_50_half"])
def test_equals_an_evaluation(model, tmp_path, usual_logging, float32):
    boxes = []
    for name, words in (("a", ("COFFEE", "open")), ("b", ("Bar", "TAXI"))):
        image, found = sign(words)
        image.save(tmp_path / f"{name}.png")
        boxes.append(found)
    name = f"signs_for_{model}"
    dicts = [
        {"file_name": str(tmp_path / f"{stem}.png"), "image_id": i, "height": 160, "width": 224,
         "annotations": [_annotation(box) for box in found]}
        for i, (stem, found) in enumerate(zip("ab", boxes))
    ]  # fmt: skip
    DatasetCatalog.register(name, lambda: dicts)
    MetadataCatalog.get(name).evaluator_type = "icdar2015"
    config = model_zoo.get(model).config
    try:
        command = ["--config-file", config, "--eval-only", *SMALL, "DATASETS.TEST", f"('{name}',)"]
        command += ["MODEL.WEIGHTS", f"vlpt://{model}", "OUTPUT_DIR", str(tmp_path / "out")]
        assert train_net([*command, "DATALOADER.NUM_WORKERS", "0", "MODEL.DEVICE", "cpu"]) == 0
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.pop(name)
    report = json.loads((tmp_path / "out/inference" / f"text_results_{name}.json").read_text())
    files = [d["file_name"] for d in dicts]
    detections = TextPredictor(model, opts=SMALL, device="cpu")(files)
    for found, row in zip(detections, report["images"], strict=True):
        assert len(found) == len(row["polygons"]) > 0
        texts = found.to_dict()["texts"]
        # Folded batch norms round in another place.
        np.testing.assert_allclose([text["score"] for text in texts], row["scores"], atol=2e-5)
        for text, polygon in zip(texts, row["polygons"]):
            np.testing.assert_allclose(np.ravel(text["polygon"]), polygon, atol=0.011)


@pytest.mark.parametrize("model", model_zoo.list_models(with_weights=True, detectors=True))
def test_onnx_finds_what_torch_finds(model, float32):
    images = [sign()[0], sign(("a", "shop", "DOOR"), (200, 200))[0]]
    torch_, onnx = (TextPredictor(model, opts=SMALL, backend=b) for b in ("torch", "onnx"))
    for ours, theirs in zip(onnx(images), torch_(images), strict=True):
        assert len(ours) == len(theirs) > 0
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)
        for a, b in zip(ours.polygons, theirs.polygons):
            np.testing.assert_allclose(a, b, atol=1e-2)
    # The shipped settings are those of the config and the network.
    assert onnx.description() == torch_.description()
    assert onnx.detector.settings["keys"] == torch_.detector.settings["keys"]


def test_onnx_loads_no_torch(picture, tmp_path):
    picture.save(tmp_path / "a.png")
    command = ["detect", str(tmp_path / "a.png"), "--output", str(tmp_path / "out")]
    command += ["--backend", "onnx", "--format", "json,icdar,coco,labelme,image", "--opts", *SMALL]
    code = (
        f"import sys; from vlpt_d2.cli.main import main\nassert main({command}) == 0\n"
        "print(sorted({'torch', 'detectron2', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("[]\n")
    assert len(json.loads((tmp_path / "out/a.json").read_text())["texts"]) == 2


def test_norms_are_folded_where_they_can_be():
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm2d(4)
    transposed = torch.nn.ConvTranspose2d(5, 4, 2, stride=2)
    frozen = FrozenBatchNorm2d(4)
    model = torch.nn.Sequential(
        Conv2d(3, 5, 3, norm=torch.nn.BatchNorm2d(5), activation=torch.relu),
        transposed, norm, torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 1, bias=False), frozen,
        torch.nn.GroupNorm(2, 4),
    )  # fmt: skip
    for module in model.modules():
        if hasattr(module, "running_mean"):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.uniform_(-1, 1)
    image = torch.rand(2, 3, 9, 11)
    model.eval()
    with torch.no_grad():
        expected = model(image)
        fuse_norms(model)
        torch.testing.assert_close(model(image), expected, rtol=1e-5, atol=1e-5)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d | FrozenBatchNorm2d)]
    assert not norms and model[0].norm is None


def _annotation(box):
    x0, y0, x1, y1 = map(float, box)
    return {
        "bbox": [x0, y0, x1, y1], "bbox_mode": 0, "category_id": 0, "iscrowd": 0, "text": "w",
        "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
    }  # fmt: skip


@pytest.mark.parametrize(
    "image, error, message",
    [
        ("nowhere.png", FileNotFoundError, "nowhere.png: no such image"),
        (".", CorruptImageError, r"^\.: is a folder; name a file$"),
        (b"no image", CorruptImageError, "cannot be decoded"),
        (np.zeros((0, 5, 3), np.uint8), ValueError, "not an image"),
        (np.zeros((5, 5, 2), np.uint8), ValueError, "not an image"),
        (np.zeros((2, 5, 5, 3), np.uint8), ValueError, "Pass several images as a list"),
        (np.zeros((3, 20, 30), np.uint8), ValueError, "not an image"),
        (np.full((5, 5, 3), 200.0), ValueError, "floats must be in"),
        (np.full((5, 5, 3), np.nan), ValueError, "floats must be in"),
        (np.full((5, 5), 300), ValueError, "integers in"),
        ([object()], TypeError, "not object"),
        (None, TypeError, "not NoneType"),
    ],
)
def test_what_is_no_image(predictor, image, error, message):
    with pytest.raises(error, match=message):
        predictor(image)


def test_a_file_that_pillow_opened_and_cannot_decode(predictor, picture, tmp_path):
    content = encoded(picture, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    for source in (tmp_path / "cut.jpg", io.BytesIO(content[: len(content) // 2])):
        name = r"cut\.jpg" if source == tmp_path / "cut.jpg" else "the Pillow image"
        with pytest.raises(CorruptImageError, match=f"{name}: cannot be decoded .*truncated"):
            predictor(Image.open(source))


def test_a_long_strip_in_tiles(predictor, monkeypatch):
    image, (box, _) = sign(("Bar", ""))
    strip = Image.new("RGB", (1500, 50), (210, 210, 210))
    places = (100, 700, 1300)
    for x in places:
        strip.paste(image.crop((20, 25, 100, 70)), (x, 0))
    monkeypatch.setitem(predictor.detector.settings["input"], "resize_limit", 320)
    assert len(predictor(strip)) == 0
    monkeypatch.setattr(predictor, "tile", "auto")
    offsets = np.array([(x - 20, -25, x - 20, -25) for x in places])
    assert_finds(predictor(strip), box + offsets, 0.5)


def test_odd_sizes(predictor):
    rng = np.random.default_rng(0)
    for size in ((1, 1), (1, 300), (6000, 4), (17, 31)):
        found = predictor(rng.integers(0, 255, (*size, 3), np.uint8))
        assert found.image_size == size
        assert all((p >= 0).all() and (p <= size[::-1]).all() for p in found.polygons)


def test_the_detections_keep_their_own_pixels(predictor, picture):
    rgb = np.array(picture)
    found = predictor(rgb)
    rgb[:] = 0
    assert found.image.any()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"model": "db_mobil"}, "no model 'db_mobil'; did you mean 'db_mobile'"),
        ({"model": "db_mobile", "config_file": "quickstart/pretrain.yaml"}, "not both"),
        ({"model": "east_R_50"}, "there are no weights of east_R_50"),
        ({"model": "vlpt_R_50_half"}, "vlpt_R_50_half finds no text.*Take one of db_mobile"),
        ({"config_file": "quickstart/pretrain.yaml"}, "only a TextDetector"),
        ({"config_file": "quickstart/db_rendered.yaml"}, "name the weights"),
        ({"config_file": "nowhere.yaml"}, "no config 'nowhere.yaml'"),
        ({"weights": "nowhere.pth"}, "no checkpoint nowhere.pth"),
        ({"weights": "."}, r"^\. is a folder; set MODEL.WEIGHTS to a file"),
        ({"weights": "vlpt://nothing"}, "no model 'nothing'"),
        ({"device": "mango"}, "MODEL.DEVICE is 'mango'"),
        ({"batch_size": 0}, "must be at least 1"),
        ({"opts": ["MODEL.NOTHING", "1"]}, "no key MODEL.NOTHING"),
        ({"backend": "tensorrt"}, "no backend 'tensorrt'; there are torch, onnx"),
        ({"backend": "onnx", "model": "db_mobil"}, "did you mean 'db_mobile'"),
        ({"backend": "onnx", "model": "east_R_50"}, "there are no weights of east_R_50"),
        ({"backend": "onnx", "config_file": "a.yaml"}, "export the weights first"),
        ({"backend": "onnx", "device": "cuda"}, "on the CPU"),
        ({"backend": "onnx", "weights": "nowhere.onnx"}, "nowhere.onnx"),
        ({"backend": "onnx", "opts": ["MODEL.NOTHING", "1"]}, "MODEL.NOTHING cannot be set"),
        ({"backend": "onnx", "opts": ["NUM_THREADS", "few"]}, "NUM_THREADS is 'few'"),
    ],
)
def test_what_cannot_be_built(arguments, message):
    with pytest.raises((ValueError, OSError), match=message):
        TextPredictor(**arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_asked_for_must_be_there():
    with pytest.raises(ValueError, match="no GPU"):
        TextPredictor("db_mobile", device="cuda")


def test_a_trunk_is_no_detector(tmp_path):
    weights = load_file(model_zoo.get_checkpoint("db_mobile"))
    trunk = {k: v for k, v in weights.items() if k.startswith("backbone.")}
    save_file(trunk, tmp_path / "trunk.safetensors")
    with pytest.raises(CheckpointError, match="holds a trunk but no text_head"):
        TextPredictor("db_mobile", weights=str(tmp_path / "trunk.safetensors"))


@pytest.mark.parametrize(
    "config, weights, opts, message",
    [
        # Batch norms in the head count batches, in buffers that count for nothing here.
        ("db_R_50_half", "vlpt_R_50_half_trunk", (), "holds a trunk but no text_head"),
        ("db_mobile", "db_mobile", ("MODEL.DB.NECK_CHANNELS", "48"), "have another shape"),
    ],
)
def test_weights_of_another_head_are_refused(config, weights, opts, message):
    with pytest.raises(CheckpointError, match=message):
        TextPredictor(config, weights=f"vlpt://{weights}", opts=opts)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_any_precision_are_computed_in_float32(tmp_path, picture, dtype):
    stored = load_file(model_zoo.get_checkpoint("db_mobile"))
    assert {value.dtype for value in stored.values()} == {torch.float16}
    path = str(tmp_path / "weights.safetensors")
    save_file({name: value.to(dtype) for name, value in stored.items()}, path)
    predictor = TextPredictor("db_mobile", weights=path, opts=SMALL, device="cpu")
    for name, value in predictor.model.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, stored[name].to(dtype).float(), rtol=0, atol=0)
    assert_finds(predictor(picture), sign()[1])


def test_a_config_and_weights(picture, expected):
    path = model_zoo.get_checkpoint("db_mobile")
    predictor = TextPredictor(
        config_file="detection/icdar2015/db_mobile.yaml", weights=path, opts=SMALL, device="cpu"
    )
    assert_same(predictor(picture), expected)
    named = TextPredictor(
        config_file="detection/icdar2015/db_mobile.yaml",
        opts=[*SMALL, "MODEL.WEIGHTS", "vlpt://db_mobile"],
    )
    assert named.weights == "vlpt://db_mobile"


def test_drawing(predictor, picture):
    found = predictor(picture)
    drawn, plain = np.array(found.draw()), np.array(found.draw(scores=False))
    assert drawn.shape == plain.shape == (160, 224, 3)
    np.testing.assert_array_equal(found.image, np.array(picture))
    assert (drawn != plain).any()
    changed = (plain != found.image).any(axis=2)
    for x, y in np.concatenate(found.polygons).astype(int):
        assert changed[y - 2 : y + 3, x - 2 : x + 3].any()


def test_crops_show_the_words(predictor):
    image, boxes = sign()
    crops = predictor(image).crops()
    assert len(crops) == 2
    for crop, (_, box) in zip(crops, sorted(enumerate(boxes), reverse=True)):
        assert crop.width > 1.5 * crop.height
        assert abs(crop.width - (box[2] - box[0])) < 20


def test_written_files_read_back(predictor, tmp_path):
    image, boxes = sign()
    (tmp_path / "images").mkdir()
    image.save(tmp_path / "images/a.png")
    found = predictor(tmp_path / "images/a.png")
    truth = sorted(np.round(p.astype(float), 2).ravel().tolist() for p in found.polygons)

    found.save(tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    assert content == found.to_dict()
    assert sorted(np.ravel(t["polygon"]).tolist() for t in content["texts"]) == truth

    (tmp_path / "labels").mkdir()
    found.save(tmp_path / "labels/a.json", "labelme")
    found.save(tmp_path / "coco.json", "coco")
    for form, labels in (("labelme", tmp_path / "labels"), ("coco", tmp_path / "coco.json")):
        (record,), _ = read_folder(form, tmp_path / "images", labels, "signs")
        assert sorted(a["segmentation"][0] for a in record["annotations"]) == truth
        assert (record["height"], record["width"]) == (160, 224)
    labelme = json.loads((tmp_path / "labels/a.json").read_text())
    assert (tmp_path / "labels" / labelme["imagePath"]).resolve() == tmp_path / "images/a.png"
    assert [s["score"] for s in labelme["shapes"]] == [t["score"] for t in content["texts"]]

    # The words drawn are all found: the benchmark's protocol says so of the file.
    (tmp_path / "dt").mkdir()
    (tmp_path / "gt").mkdir()
    found.save(tmp_path / "dt/res_a.txt")
    lines = [f"{x0},{y0},{x1},{y0},{x1},{y1},{x0},{y1},word\n" for x0, y0, x1, y1 in boxes]
    (tmp_path / "gt/gt_a.txt").write_text("".join(lines))
    totals = evaluate_files(tmp_path / "gt", tmp_path / "dt", "icdar2015").totals
    assert (totals.num_matches, totals.num_gt, totals.num_det) == (2, 2, 2)

    for name in ("drawn.png", "drawn.jpg", "drawn.WEBP"):
        found.save(tmp_path / name)
        assert Image.open(tmp_path / name).size == (224, 160)


def test_what_cannot_be_written(predictor, picture, tmp_path):
    found = predictor(picture)
    with pytest.raises(ValueError, match="no format 'xml'"):
        found.save(tmp_path / "a.xml", "xml")
    with pytest.raises(ValueError, match=r"as '\.xml'"):
        found.save(tmp_path / "a.xml")
    for path in (tmp_path / "none/a.json", tmp_path / "none/a.png"):
        with pytest.raises(OSError):
            found.save(path)
    assert list(tmp_path.iterdir()) == []
