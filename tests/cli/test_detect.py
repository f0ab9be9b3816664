"""``vlpt-d2 detect`` and ``vlpt-d2 models`` as a user runs them."""

import json
import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.signs import SMALL, overlap, sign
from PIL import Image

from vlpt_d2 import TextPredictor, model_zoo
from vlpt_d2.cli.main import main
from vlpt_d2.data.datasets.formats import read_folder
from vlpt_d2.detect_files import _write_coco

OPTIONS = ["--device", "cpu", "--opts", *SMALL]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder in the working directory: two signs and, below, one of the same name."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name, words in (("a.png", ("COFFEE", "open")), ("ä 写.jpg", ("Bar",)), ("sub/a.png", ())):
        sign(words)[0].save(folder / name)
    return folder


def detect(*arguments):
    return main(["detect", *map(str, arguments), *OPTIONS])


def names(folder):
    return sorted(p.name for p in folder.iterdir() if p.name != ".lock")


def texts(path):
    return json.loads(path.read_text())["texts"]


def content(folder):
    """Every file's bytes, but the index, which has the inputs' times."""
    paths = [p for p in folder.iterdir() if p.is_file() and p.suffix != ".jsonl"]
    return {p.name: p.read_bytes() for p in paths}


def test_one_photo(photos, capsys):
    assert detect("photos/a.png", "--output", "out") == 0
    assert names(Path("out")) == ["a.jpg", "a.json", "detections.jsonl"]
    assert Image.open("out/a.jpg").size == (224, 160)
    result = json.loads(Path("out/a.json").read_text())
    assert (result["file_name"], result["height"], result["width"]) == ("photos/a.png", 160, 224)
    for box in sign()[1]:
        assert max(overlap(np.array(t["polygon"]), box) for t in result["texts"]) > 0.6
    assert "out: 1 image, 2 texts\n" in capsys.readouterr().out


def test_a_folder_in_every_format(photos, tmp_path):
    assert detect("photos", "--format", "json,icdar,labelme,coco", "--batch", 2) == 0
    out = Path("detections")
    assert names(out) == sorted(
        ["detections.jsonl", "detections_coco.json"]
        + [f"{stem}.json" for stem in ("photos_a", "sub_a", "ä 写")]
        + [f"{stem}.labelme.json" for stem in ("photos_a", "sub_a", "ä 写")]
        + [f"res_{stem}.txt" for stem in ("photos_a", "sub_a", "ä 写")]
    )
    found = {stem: texts(out / f"{stem}.json") for stem in ("photos_a", "sub_a", "ä 写")}
    assert {stem: len(t) for stem, t in found.items()} == {"photos_a": 2, "sub_a": 0, "ä 写": 1}
    assert (out / "res_sub_a.txt").read_text() == ""
    assert len((out / "res_photos_a.txt").read_text().splitlines()) == 2
    # The file of all images names them from the folder that holds them all.
    dicts, _ = read_folder("coco", "photos", out / "detections_coco.json", "all")
    by_name = {str(Path(d["file_name"]).relative_to("photos")): d["annotations"] for d in dicts}
    assert {name: len(a) for name, a in by_name.items()} == {
        "a.png": 2,
        "ä 写.jpg": 1,
        "sub/a.png": 0,
    }


def test_coco_file_of_all_images_has_the_words_that_were_read(tmp_path):
    square = [[0, 0], [9, 0], [9, 9], [0, 9]]
    read = [{"polygon": square, "score": 0.5, "word": "exit"}]
    entries = [
        {"source": str(tmp_path / f"{name}.png"), "height": 9, "width": 9, "texts": texts}
        for name, texts in (("a", read), ("b", [{"polygon": square, "score": 0.5}]))
    ]
    _write_coco(tmp_path / "all.json", entries)
    annotations = json.loads((tmp_path / "all.json").read_text())["annotations"]
    assert [annotation["text"] for annotation in annotations] == ["exit", ""]


def test_patterns_and_inputs_given_twice(photos, capsys):
    arguments = ["photos/*.png", "photos/**/*.png", "photos/a.png", "--output", "out"]
    assert detect(*arguments, "--format", "json") == 0
    assert "out: 2 images" in capsys.readouterr().out


def test_results_are_the_predictors(photos):
    assert detect("photos", "--output", "out", "--batch", 3) == 0
    predictor = TextPredictor("db_mobile", opts=SMALL, device="cpu")
    expected = predictor("photos/a.png").to_dict()["texts"]
    found = texts(Path("out/photos_a.json"))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours["polygon"], theirs["polygon"], atol=0.02)
        assert abs(ours["score"] - theirs["score"]) < 1e-4


def test_broken_and_odd_files_are_told_and_the_rest_is_done(photos, capsys):
    whole = (photos / "ä 写.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "empty.png").touch()
    (photos / "text.jpg").write_text("no image")
    (photos / "drawing.svg").write_text("<svg/>")
    (photos / "link.png").symlink_to("nowhere.png")
    (photos / "notes.txt").write_text("no image, by its name")
    (photos / ".hidden.png").write_text("not looked at")
    sign()[0].convert("CMYK").save(photos / "cmyk.jpg", quality=95)
    grey = np.array(sign()[0].convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(photos / "deep.png")
    assert detect("photos", "missing.jpg", "--output", "out", "--format", "json") == 1
    captured = capsys.readouterr()
    assert "out: 5 images, 7 texts; 6 could not be read" in captured.out
    errors = [line for line in captured.err.splitlines() if line.startswith("vlpt-d2 detect: ")]
    assert len(errors) == 6
    for name in ("cut.jpg", "empty.png", "text.jpg", "drawing.svg", "link.png", "missing.jpg"):
        assert sum(name in line for line in errors) == 1
    assert "Traceback" not in captured.err
    assert len(texts(Path("out/cmyk.json"))) == len(texts(Path("out/deep.json"))) == 2


def test_a_huge_image_is_told(photos, monkeypatch, capsys):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    sign()[0].crop((0, 0, 50, 50)).save(photos / "small.png")
    assert detect("photos", "--output", "out", "--format", "json") == 1
    captured = capsys.readouterr()
    assert "a.png: cannot be decoded (it has more than 20000 pixels" in captured.err
    assert "out: 1 image," in captured.out


def test_every_page_of_a_tiff(photos):
    pages = [sign(words)[0] for words in (("COFFEE", "open"), (), ("Bar",))]
    pages[0].save("scan.tif", save_all=True, append_images=pages[1:])
    assert detect("scan.tif", "--output", "out", "--format", "json") == 0
    assert [len(texts(Path(f"out/scan_p{n}.json"))) for n in (1, 2, 3)] == [2, 0, 1]


def test_an_interrupted_folder_resumes(photos, monkeypatch, capsys):
    for number in range(4):
        sign(("Bar",))[0].save(photos / f"b{number}.png")
    assert detect("photos", "--output", "whole", "--format", "image,json,coco") == 0

    def fail_after(count):
        calls = []
        call = TextPredictor.__call__

        def limited(self, images, image_format="RGB"):
            calls.append(1)
            if len(calls) > count:
                raise KeyboardInterrupt
            return call(self, images, image_format)

        monkeypatch.setattr(TextPredictor, "__call__", limited)
        return call

    original = fail_after(3)
    command = ["photos", "--output", "out", "--format", "image,json,coco"]
    assert detect(*command) == 130
    assert "vlpt-d2 detect: interrupted; the same command resumes" in capsys.readouterr().err
    assert len(list(Path("out").glob("*.json"))) == 3
    # As if killed between the index and a file of its last image, and within its last line.
    sorted(Path("out").glob("*.jpg"))[0].unlink()
    with open("out/detections.jsonl", "a") as file:
        file.write('{"source": "cut o')
    monkeypatch.setattr(TextPredictor, "__call__", original)
    assert detect(*command) == 0
    assert "out: 7 images, 2 of them from earlier runs" in capsys.readouterr().out
    assert content(Path("out")) == content(Path("whole"))
    fail_after(0)  # nothing is left to do
    assert detect(*command) == 0


def test_new_and_changed_images_are_detected_alone(photos, capsys):
    command = ["photos", "--output", "out", "--format", "json"]
    assert detect(*command) == 0
    before = content(Path("out"))
    sign(("Bar",))[0].save(photos / "new.png")
    sign(("Bar",))[0].save(photos / "sub/a.png")
    os.utime(photos / "sub/a.png", ns=(1, 1))
    capsys.readouterr()
    assert detect(*command) == 0
    assert "out: 4 images, 2 of them from earlier runs, 5 texts" in capsys.readouterr().out
    after = content(Path("out"))
    assert set(after) - set(before) == {"new.json"}
    assert [name for name in before if after[name] != before[name]] == ["sub_a.json"]
    assert detect(*command[:-1], "icdar") == 0
    assert len(list(Path("out").glob("res_*.txt"))) == 4


def test_an_interruption_leaves_no_files_of_an_image_as_it_was(photos, monkeypatch):
    command = ["photos", "--output", "out", "--format", "json,icdar"]
    assert detect(*command) == 0
    sign(("Bar",))[0].save(photos / "sub/a.png")
    os.utime(photos / "sub/a.png", ns=(1, 1))
    with monkeypatch.context() as patch:
        patch.setattr("vlpt_d2.detections.TextDetections.save", _full_disk)
        assert detect(*command) == 2
    assert detect(*command[:-1], "json") == 0
    assert len(texts(Path("out/sub_a.json"))) == 1
    assert not Path("out/res_sub_a.txt").exists()


def test_a_page_of_something_else_stays(photos, capsys):
    Path("out").mkdir()
    Path("out/detections.html").write_text("mine")
    assert detect("photos", "--output", "out", "--format", "html") == 2
    assert "out/detections.html would be replaced: move it" in capsys.readouterr().err
    assert Path("out/detections.html").read_text() == "mine"


def test_files_corrected_by_hand_stay(photos):
    command = ["photos/a.png", "--output", "out", "--format"]
    assert detect(*command, "labelme") == 0
    Path("out/a.labelme.json").write_text("corrected")
    assert detect(*command, "labelme,icdar") == 0
    assert Path("out/a.labelme.json").read_text() == "corrected"
    assert len(Path("out/res_a.txt").read_text().splitlines()) == 2


def test_patterns_of_folders_and_odd_names(photos, capsys):
    (photos / "loop.png").symlink_to("loop.png")
    Path("photo[1].jpg").write_bytes((photos / "ä 写.jpg").read_bytes())
    arguments = ["p*s", "photo[1].jpg", "x" * 300, "--output", "photos/out", "--format", "json"]
    assert detect(*arguments) == 1
    captured = capsys.readouterr()
    assert "photos/out: 4 images, 4 texts; 2 could not be read" in captured.out
    assert "photos/loop.png: Too many levels" in captured.err
    assert f"{'x' * 300}: no such file" in captured.err


def test_links_to_folders_are_followed_once(photos, capsys):
    (photos / "sub/up").symlink_to(photos)
    Path("elsewhere").mkdir()
    sign(("Bar",))[0].save("elsewhere/c.png")
    (photos / "linked").symlink_to(Path("elsewhere").resolve())
    assert detect("photos", "--output", "out", "--format", "json") == 0
    assert "out: 4 images" in capsys.readouterr().out


def test_no_file_of_another_image_or_of_the_user_is_replaced(photos):
    Path("out").mkdir()
    Path("out/a.jpg").write_text("mine")
    shutil.copytree("photos", "other")
    sign(("Bar",))[0].save("other/a.png")
    for source in ("photos/a.png", "other/a.png"):
        assert detect(source, "--output", "out") == 0
    assert Path("out/a.jpg").read_text() == "mine"
    files = [json.loads(p.read_text()) for p in sorted(Path("out").glob("*.json"))]
    assert sorted((f["file_name"], len(f["texts"])) for f in files) == [
        ("other/a.png", 1),
        ("photos/a.png", 2),
    ]
    # Next to the images themselves.
    before = (photos / "ä 写.jpg").read_bytes()
    assert detect("photos/ä 写.jpg", "--output", "photos") == 0
    assert (photos / "ä 写.jpg").read_bytes() == before


def test_the_output_below_the_input_is_no_input(photos, capsys):
    for _ in range(2):
        assert detect("photos", "--output", "photos/out") == 0
        assert "photos/out: 3 images" in capsys.readouterr().out
    assert detect("photos", "--output", "photos") == 2
    assert "photos is in the output folder" in capsys.readouterr().err


def test_detections_of_two_models_do_not_mix(photos, capsys):
    assert detect("photos/a.png", "--output", "out", "--format", "json") == 0
    for other in (["--model", "db_R_50_half"], ["--weights", "w.safetensors"]):
        shutil.copy(model_zoo.get_checkpoint("db_mobile"), "w.safetensors")
        status = detect("photos/a.png", "--output", "out", *other)
        assert status == 2
        assert "out holds detections of vlpt://db_mobile" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["photos", "--model", "db_mobil"], "did you mean 'db_mobile'"),
        (["photos", "--model", "east_R_50"], "no weights of east_R_50"),
        (["photos", "--config-file", "nothing.yaml"], "no config 'nothing.yaml'"),
        (["photos", "--config-file", "quickstart/db_rendered.yaml"], "name the weights"),
        (["photos", "--weights", "photos/a.png"], "a.png is damaged, cut off or no checkpoint"),
        (["photos/sub/none"], None),
        (["empty"], "there is no image in empty"),
        (["photos", "--output", "photos/a.png"], "photos/a.png"),
        (["photos", "--output", "/proc/vlpt_d2"], "/proc/vlpt_d2"),
    ],
)
def test_wrong_requests_are_told_in_one_line(photos, capsys, arguments, message):
    Path("empty").mkdir()
    expected = 1 if message is None else 2
    assert detect(*arguments) == expected
    errors = capsys.readouterr().err
    lines = [line for line in errors.splitlines() if line.startswith("vlpt-d2 detect: ")]
    assert len(lines) == 1
    assert (message or "photos/sub/none: no such file") in lines[0]
    assert "Traceback" not in errors


def test_without_onnxruntime_or_with_damaged_files_of_the_zoo(photos, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "onnxruntime", None)
        assert detect("photos", "--backend", "onnx") == 1
        assert "pip install onnxruntime, or vlpt-d2[export]" in capsys.readouterr().err
    folder = Path(model_zoo.get_checkpoint("db_mobile")).parent
    shutil.copytree(folder, "zoo", ignore=lambda _, names: [n for n in names if "mobile" not in n])
    monkeypatch.setattr("vlpt_d2.model_zoo.models._FOLDER", Path("zoo"))
    for name, message in (
        ("db_mobile.json", "db_mobile.json is damaged"),
        ("db_mobile.onnx", "db_mobile.onnx: no ONNX file that can be run"),
        ("db_mobile.safetensors", "db_mobile.safetensors is damaged or of another version"),
    ):
        Path("zoo", name).write_bytes(Path("zoo", name).read_bytes()[:-100])
        assert detect("photos", "--backend", "onnx") == 2
        assert message in capsys.readouterr().err
        shutil.copy(folder / name, "zoo")


def test_a_batch_has_at_least_an_image(capsys):
    with pytest.raises(SystemExit, match="2"):
        detect("photos", "--batch", "0")
    assert "argument --batch: 0 is not positive" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(photos, capsys):
    Path("locked").mkdir(mode=0o500)
    assert detect("photos", "--output", "locked/out") == 2
    assert "locked" in capsys.readouterr().err


def _full_disk(self, path, file_format=None):
    raise OSError(28, "No space left on device", str(path))


def test_a_full_disk_ends_it_and_it_resumes(photos, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr("vlpt_d2.detections.TextDetections.save", _full_disk)
        assert detect("photos", "--output", "out") == 2
    assert "No space left on device" in capsys.readouterr().err
    assert detect("photos", "--output", "out") == 0
    assert len(list(Path("out").glob("*.json"))) == 3


def test_unknown_formats(photos, capsys):
    with pytest.raises(SystemExit, match="2"):
        detect("photos", "--format", "json,xml")
    assert "no format 'xml'; there are image, json" in capsys.readouterr().err


def test_the_models_are_listed(capsys):
    assert main(["models"]) == 0
    output = capsys.readouterr().out
    assert all(name in output for name in model_zoo.list_models())
    assert main(["models", "db_mobile"]) == 0
    output = capsys.readouterr().out
    model = model_zoo.get("db_mobile")
    for text in (model.config, model.sha256, model.licence, f"hmean {model.results['hmean']}"):
        assert text in output
    assert main(["models", "nothing"]) == 2
    assert "no model 'nothing'" in capsys.readouterr().err


def test_lines_in_every_format(photos):
    shutil.rmtree("photos")
    photos.mkdir()
    word = sign(("COFFEE",))[0].crop((20, 20, 180, 70))
    line = Image.new("RGB", (320, 160), (210, 210, 210))
    line.paste(word, (0, 60))
    line.paste(word, (140, 60))
    line.save("photos/line.png")
    assert detect("photos", "--output", "out", "--lines", "--format", "json,icdar,html") == 0
    (found,) = texts(Path("out/line.json"))
    assert len(found["parts"]) == 2
    first, second = (np.array(part["polygon"]) for part in found["parts"])
    assert first[:, 0].max() < second[:, 0].min()
    around = np.array(found["polygon"])
    np.testing.assert_allclose(around.min(axis=0), first.min(axis=0), atol=3)
    np.testing.assert_allclose(around.max(axis=0), second.max(axis=0), atol=3)
    assert len(Path("out/res_line.txt").read_text().splitlines()) == 1
    page = Path("out/detections.html").read_text()
    assert 'src="line.jpg"' in page and "1 text<" in page and Path("out/line.jpg").exists()
    # Words and lines do not mix.
    assert detect("photos", "--output", "out") == 2


def test_a_pdf_a_video_and_a_camera(photos, monkeypatch, capfd):
    pages = [sign(("COFFEE", "open"))[0], sign(("Bar",))[0]]
    pages[0].save("pages.pdf", save_all=True, append_images=pages[1:], resolution=200)
    frames = [np.array(page)[..., ::-1] for page in (*pages, pages[0])]
    writer = cv2.VideoWriter("film.avi", cv2.VideoWriter.fourcc(*"MJPG"), 5, (224, 160))
    for frame in frames:
        writer.write(frame)
    writer.release()
    Path("broken.pdf").write_text("no pdf")
    Path("broken.mp4").write_text("no video")
    arguments = ["pages.pdf", "film.avi", "broken.pdf", "broken.mp4", "--every", 2]
    assert detect(*arguments, "--output", "out", "--format", "json") == 1
    errors = capfd.readouterr().err
    assert "broken.pdf: cannot be read as a PDF" in errors
    assert "broken.mp4: cannot be read as a video" in errors
    counts = {p.stem: len(texts(p)) for p in Path("out").glob("*.json")}
    assert counts == {"film_p1": 2, "film_p3": 2, "pages_p1": 2, "pages_p2": 1}
    assert json.loads(Path("out/pages_p1.json").read_text())["height"] == 160

    # OpenCV's own warnings would be in the error output, too.
    assert detect("camera:98", "--output", "seen") == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("vlpt-d2 detect: camera:98: cannot be opened: connect a camera")
    assert detect("camera:one", "--output", "seen") == 2
    assert "camera:one: a camera has a number" in capfd.readouterr().err

    class Camera:
        def __init__(self, number):
            self.left = list(frames) if number == 0 else []

        def isOpened(self):
            return bool(self.left)

        def read(self):
            if len(self.left) == 1:
                raise KeyboardInterrupt
            return True, self.left.pop(0)

        def release(self):
            self.left = []

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    assert detect("camera:0", "--output", "seen", "--format", "json") == 0
    assert "seen: 2 images, 3 texts" in capfd.readouterr().out
    assert len(list(Path("seen").glob("camera0_*.json"))) == 2
    assert detect("camera:7", "--output", "seen") == 2
    assert "camera:7: cannot be opened" in capfd.readouterr().err


def test_a_large_image_in_tiles(photos, capsys):
    small, boxes = sign()
    large = Image.new("RGB", (900, 700), (205, 205, 205))
    corners = [(0, 0), (500, 130), (650, 520)]
    for corner in corners:
        large.paste(small, corner)
    large.save("large.png")
    wanted = [box + np.tile(corner, 2) for corner in corners for box in boxes]

    def found(*options):
        assert detect("large.png", "--output", f"out{len(options)}", *options) == 0
        return [np.array(t["polygon"]) for t in texts(Path(f"out{len(options)}/large.json"))]

    def right(polygons):
        return sum(max((overlap(p, box) for p in polygons), default=0) > 0.4 for box in wanted)

    tiled = found("--tile", "224")
    assert right(tiled) == len(tiled) == 6
    assert right(found()) < 6
    assert right(found("--tile", "auto", "--backend", "onnx")) >= 5
    for wrong in ("5", "half"):
        with pytest.raises(SystemExit) if wrong == "half" else nullcontext():
            assert detect("large.png", "--tile", wrong) == 2
    assert "at least 64" in capsys.readouterr().err


def test_images_as_they_come(photos, capsys):
    """Grey, 16 bits, CMYK, rotated, huge, empty: what can be read is, the rest is named."""
    image, _ = sign()
    shutil.rmtree("photos")
    photos.mkdir()
    image.convert("L").save("photos/grey.png")
    Image.fromarray(np.array(image.convert("L")).astype(np.uint16) * 257).save("photos/deep.png")
    image.convert("CMYK").save("photos/cmyk.jpg", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = image.transpose(Image.Transpose.ROTATE_90)
    turned.save("photos/ö 転.jpg", exif=exif, quality=95)
    Image.new("RGB", (1, 1)).save("photos/point.png")
    Path("photos/empty.png").touch()
    Path("photos/broken.jpg").write_bytes(Path("photos/cmyk.jpg").read_bytes()[:300])
    bomb = Image.new("1", (20000, 20000))
    bomb.save("photos/huge.png")
    for backend in ("torch", "onnx"):
        arguments = ["photos", "--output", backend, "--format", "json", "--backend", backend]
        assert detect(*arguments) == 1
        errors = capsys.readouterr().err
        assert all(f"photos/{name}" in errors for name in ("empty.png", "broken.jpg", "huge.png"))
        counts = {p.stem: len(texts(p)) for p in Path(backend).glob("*.json")}
        assert counts == {"grey": 2, "deep": 2, "cmyk": 2, "ö 転": 2, "point": 0}
