"""``vlpt-d2 data``: check, browse and convert."""

import importlib
import json
import re

import cv2
import numpy as np
import pytest
from helpers.detectors import detector_cfg
from helpers.miniatures import MINIATURES, QUAD, image, text
from helpers.pretraining import tiny_vlpt_cfg

from vlpt_d2.cli.main import main
from vlpt_d2.inspection.browse import browse_dataset


@pytest.fixture
def total_text(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "datasets"))
    MINIATURES["total_text_test"](tmp_path / "datasets")
    return tmp_path


def row(output, what):
    """The number before a phrase."""
    return int(re.search(rf"^ *(\d+)  {re.escape(what)}", output, re.MULTILINE)[1])


@pytest.mark.parametrize(
    "place, options",
    [
        ("conversion._place_image", ["convert", "--to", "icdar"]),
        ("shards.write._content", ["shard", "--per-shard", "1"]),
    ],
)
def test_an_interrupt_tells_that_the_same_command_resumes(
    total_text, monkeypatch, capsys, place, options
):
    command = ["data", options[0], "total_text_test", str(total_text / "out"), *options[1:]]
    module, _, name = f"vlpt_d2.data.{place}".rpartition(".")
    original = getattr(importlib.import_module(module), name)
    calls = []

    def second_is_interrupted(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(f"{module}.{name}", second_is_interrupted)
    assert main(command) == 130
    assert "vlpt-d2 data: interrupted; the same command resumes" in capsys.readouterr().err
    assert main(command) == 0
    assert len(calls) == 3 and "2 images" in capsys.readouterr().out


def test_check(total_text, capsys):
    out = total_text / "new" / "numbers.json"
    assert main(["data", "check", "total_text_test", "--decode", "--json", str(out)]) == 0
    output = capsys.readouterr().out
    assert [row(output, k) for k in ("images", "texts", "ignored texts")] == [2, 4, 2]
    numbers = json.loads(out.read_text())
    # Two cared texts of 40 x 20, level, of three letters.
    assert {k: v for k, v in numbers["histograms"]["height"].items() if v} == {"16-24": 2}
    assert {k: v for k, v in numbers["histograms"]["aspect"].items() if v} == {"1.5-2.5": 2}
    assert {k: v for k, v in numbers["histograms"]["orientation"].items() if v} == {"0-5": 2}
    assert {k: v for k, v in numbers["histograms"]["length"].items() if v} == {"3": 2}
    assert {k: v for k, v in numbers["histograms"]["texts"].items() if v} == {"2-3": 2}
    assert {k: v for k, v in numbers["histograms"]["side"].items() if v} == {"0-320": 2}
    assert numbers["reports"][0]["words"] == 4
    assert re.search(r"16-24 +2  100\.0 %  #{40}\n", output)


def test_check_finds_the_datasets_of_a_plugin(tmp_path, monkeypatch, capsys):
    image(tmp_path / "images/a.jpg")
    text(tmp_path / "gt/gt_a.txt", f"{QUAD},Joy\n")
    (tmp_path / "own_sets.py").write_text(
        "from vlpt_d2.data.datasets.formats import register_folder\n"
        f"register_folder('own_set', 'icdar', '{tmp_path}/images', '{tmp_path}/gt')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("VLPT_D2_PLUGINS", "")
    assert main(["--plugin", "own_sets", "data", "check", "own_set"]) == 0
    assert row(capsys.readouterr().out, "texts") == 1


def test_check_of_own_folder_with_faults(tmp_path, capsys):
    for name in "abc":
        image(tmp_path / f"images/{name}.jpg")
    broken = tmp_path / "images/c.jpg"
    broken.write_bytes(broken.read_bytes()[:-60])
    text(tmp_path / "gt/gt_a.txt", f"{QUAD},Joy\n10,20,50,40,50,20,10,40,bow\n")
    text(tmp_path / "gt/gt_b.txt", "5,5,5,5,5,5,5,5,point\n")
    text(tmp_path / "gt/gt_c.txt", f"{QUAD},\n{QUAD},###\n")
    own = ["--format", "icdar", "--images", f"{tmp_path}/images", "--labels", f"{tmp_path}/gt"]
    assert main(["data", "check", "mine", *own]) == 0
    output = capsys.readouterr().out
    assert row(output, "repaired: self-crossing (gt_a.txt:2)") == 1
    assert row(output, "left out: no area (gt_b.txt:1)") == 1
    assert row(output, "images without a text") == 1
    assert row(output, "texts without transcription") == 1
    assert main(["data", "check", "mine", *own, "--decode"]) == 1
    output = capsys.readouterr().out
    assert row(output, "images that cannot be read") == 1
    assert "cannot be read: c.jpg: " in output
    assert main(["data", "check", "mine", *own, "--limit", "2"]) == 0
    assert row(capsys.readouterr().out, "images") == 2


def test_check_of_rendered_images_draws_them(capsys):
    assert main(["data", "check", "rendered_quickstart_val", "--limit", "2"]) == 0
    output = capsys.readouterr().out
    assert row(output, "images") == 2
    assert row(output, "texts") > 0


def page_of(folder):
    page = (folder / "index.html").read_text()
    pictures = [cv2.imread(str(folder / name)) for name in re.findall(r'img src="([^"]+)"', page)]
    captions = re.findall(r"</small><br>(.*?)</figcaption>", page)
    assert all(picture is not None for picture in pictures)
    return pictures, captions


def test_browse_original(total_text, capsys):
    folder = total_text / "page"
    assert main(["data", "browse", "total_text_test", str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "index.html")
    pictures, captions = page_of(folder)
    assert captions == ["1 text, 1 ignored"] * 2
    assert pictures[0].shape == (64, 96, 3)
    blue, _, red = (int(v) for v in pictures[0][20, 30])  # the outline of a text that counts
    assert blue > red + 80
    assert abs(int(pictures[0][5, 5, 0]) - 60) < 12


def test_browse_replaces_only_its_own_pages(total_text, capsys):
    photo = total_text / "photos" / "0001.jpg"
    photo.parent.mkdir()
    photo.write_text("mine")
    command = ["data", "browse", "total_text_test"]
    assert main([*command, str(photo.parent)]) == 2
    assert f"{photo} would be replaced" in capsys.readouterr().err
    assert photo.read_text() == "mine" and len(list(photo.parent.iterdir())) == 1
    for _ in range(2):
        assert main([*command, str(total_text / "page"), "--count", "1"]) == 0


def test_browse_escapes_names_and_words(tmp_path):
    cv2.imwrite(str(tmp_path / "a&b.png"), np.zeros((8, 8, 3), np.uint8))
    record = {"file_name": str(tmp_path / "a&b.png"), "height": 8, "width": 8, "annotations": []}
    page = browse_dataset([record], tmp_path / "page", title="<b>").read_text()
    assert "a&amp;b.png" in page and "a&b.png" not in page
    assert "<h1>&lt;b&gt;: original</h1>" in page


def test_browse_the_other_stages(total_text):
    cfg = detector_cfg("DBHead", "tiny")
    cfg.INPUT.DETECTION.TRAIN_SIZE = cfg.INPUT.DETECTION.TEST_SIZE = (64, 96)
    detector = total_text / "detector.yaml"
    detector.write_text(cfg.dump())
    pretrain = total_text / "pretrain.yaml"
    pretrain.write_text(tiny_vlpt_cfg(total_text).dump())
    for stage, config in (("augmented", detector), ("labels", detector), ("captions", pretrain)):
        folder = total_text / stage
        command = ["data", "browse", "total_text_test", str(folder), "--stage", stage]
        assert main([*command, "--config-file", str(config), "--count", "1"]) == 0
        pictures, (caption,) = page_of(folder)
        assert len(pictures) == 1
        if stage == "captions":
            assert caption.startswith("Joy \u2192 ")
        elif stage == "augmented":
            assert pictures[0].shape == (64, 96, 3)
        else:
            assert pictures[0].shape[0] > 64 * 2  # several maps


def test_convert(total_text, capsys):
    out = total_text / "out"
    assert main(["data", "convert", "total_text_test", str(out), "--to", "icdar", "--link"]) == 0
    output = capsys.readouterr().out
    assert "2 images, 4 texts as icdar" in output
    assert "not kept: 2 polygons, written as rectangles around them" in output
    lines = (out / "labels/gt_img1.txt").read_text().splitlines()
    assert lines[1] == "60,10,80,10,80,30,60,30,###"
    assert lines[0].endswith(",Joy")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["check", "total_text_tset"], "did you mean 'total_text_test'"),
        (["check", "mine", "--format", "coco"], "--format needs --images and --labels"),
        (["check", "mine", "--images", "."], "--images and --labels need --format"),
        (["check", "mine", "--format", "voc", "--images", ".", "--labels", "."], "no format 'voc'"),
        (["check", "ctw1500_test"], "expected, for SCUT-CTW1500"),
        (["browse", "total_text_test", "page", "--stage", "labels"], "--config-file"),
        (["convert", "total_text_test", "out", "--to", "voc"], "no format 'voc' can be written"),
    ],
)
def test_wrong_requests(total_text, monkeypatch, capsys, command, message):
    monkeypatch.chdir(total_text)
    assert main(["data", *command]) == 2
    assert message in capsys.readouterr().err


def test_actions_are_listed(capsys):
    assert main(["data"]) == 2
    output = capsys.readouterr().out
    assert all(action in output for action in ("check", "browse", "convert"))


@pytest.mark.parametrize(
    ("labels", "form", "message"),
    [
        ("gt/gt_a.txt", "icdar", r"gt_a\.txt: no such folder;\nexpected a folder of images"),
        ("gt", "coco", r"gt: is a folder; name the file in it"),
    ],
)
def test_file_for_folder_and_folder_for_file(tmp_path, capsys, labels, form, message):
    image(tmp_path / "images/a.jpg")
    text(tmp_path / "gt/gt_a.txt", f"{QUAD},Joy\n")
    own = ["--images", f"{tmp_path}/images", "--labels", f"{tmp_path}/{labels}"]
    assert main(["data", "check", "mine", "--format", form, *own]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_shares_as_pixels_are_noted(tmp_path, capsys):
    image(tmp_path / "images/a.jpg")
    text(tmp_path / "gt/gt_a.txt", f"{QUAD},Joy\n.1,.1,.6,.1,.6,.6,.1,.6,Joy\n")
    own = ["--format", "icdar", "--images", f"{tmp_path}/images", "--labels", f"{tmp_path}/gt"]
    assert main(["data", "check", "mine", *own]) == 0
    note = "kept, but look at: words no larger than a pixel"
    output = capsys.readouterr().out
    assert row(output, note) == 1
    assert "(gt_a.txt:2)" in output


@pytest.mark.parametrize("number", ["0", "-2"])
@pytest.mark.parametrize(
    ("action", "option"),
    [
        (["data", "check"], "--limit"),
        (["data", "convert"], "--limit"),
        (["data", "shard"], "--per-shard"),
        (["data", "browse"], "--count"),
        (["compare"], "--jobs"),
        (["attention"], "--limit"),
    ],
)
def test_numbers_of_images_and_jobs_are_positive(capsys, action, option, number):
    with pytest.raises(SystemExit) as stopped:
        main([*action, "mine", "out", option, number])
    assert stopped.value.code == 2
    assert f"{option}: {number} is not positive" in capsys.readouterr().err
