"""Classes of failures, recall by kind of text, threshold curves, and the page."""

import json
import re

import cv2
import numpy as np
import pytest

from tests.helpers.slow_protocols import box
from vlpt_d2.cli.main import main
from vlpt_d2.evaluation.analysis import analyse, explain, recall_by, threshold_curve, to_page
from vlpt_d2.evaluation.file_evaluation import evaluate_images, to_report
from vlpt_d2.evaluation.files import ImageTexts
from vlpt_d2.structures.text_shape import sides

WORD = box(0, 0, 40, 20)


def _image(gts, dets, ignore=None, scores=None, texts=None, name="img_1"):
    ignore = ignore or [False] * len(gts)
    return ImageTexts(name, gts, ignore, texts or [""] * len(gts), dets, scores, True)


def _explain(gts, dets, ignore=None, protocol="icdar2015"):
    evaluation = evaluate_images([_image(gts, dets, ignore)], protocol)
    return explain(evaluation.images[0], evaluation.results[0])


def test_nothing_failed():
    assert _explain([WORD], [WORD]) == ([], [])
    assert _explain([], []) == ([], [])


def test_a_split_text():
    parts = [box(0, 0, 14, 20), box(14, 0, 28, 20), box(28, 0, 40, 20)]
    assert _explain([WORD], parts) == ([(0, "split")], [(i, "split") for i in range(3)])


def test_merged_texts():
    words = [box(0, 0, 20, 20), box(20, 0, 40, 20)]
    assert _explain(words, [WORD]) == ([(0, "merged"), (1, "merged")], [(0, "merged")])


def test_a_loose_detection():
    assert _explain([WORD], [box(20, 0, 60, 20)]) == ([(0, "below_iou")], [(0, "below_iou")])


def test_small_texts_and_background():
    small, speck = box(100, 100, 130, 109), box(200, 200, 205, 205)
    far = box(300, 300, 340, 320)
    missed, alarms = _explain([WORD, small], [speck, far])
    assert missed == [(0, "background"), (1, "too_small")]
    assert alarms == [(0, "too_small"), (1, "background")]


def test_duplicates():
    missed, alarms = _explain([WORD], [WORD, box(1, 0, 41, 20)])
    assert (missed, alarms) == ([], [(1, "duplicate")])


def test_dont_care_regions():
    region = box(0, 0, 40, 12)
    # The detection of the word is ignored, as more than half of it lies in the region.
    assert _explain([WORD, region], [WORD], [False, True]) == ([(0, "dont_care")], [])
    # A false alarm that lies on the region for less than half.
    alarm = box(0, 8, 40, 30)
    assert _explain([region], [alarm], [True]) == ([], [(0, "dont_care")])


def test_every_false_alarm_and_missed_text_has_one_class():
    rng = np.random.default_rng(5)
    gts = [box(x, y, x + 30, y + 12) for x, y in rng.integers(0, 200, (30, 2))]
    dets = [box(x, y, x + 30, y + 12) for x, y in rng.integers(0, 200, (30, 2))]
    evaluation = evaluate_images([_image(gts, dets)], "icdar2015")
    analysis = analyse(evaluation)
    matched = evaluation.totals.num_matches
    assert sum(analysis["missed"].values()) == 30 - matched
    assert sum(analysis["false_alarms"].values()) == 30 - matched


def test_sides_of_a_turned_rectangle():
    turn = np.deg2rad(30)
    axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    points = box(-20, -5, 20, 5) @ axes + 50
    assert sides(points) == pytest.approx((40, 10, 30), abs=1e-3)
    assert sides(np.full((4, 2), np.nan)) == (0, 0, 0)


def test_recall_by_kind():
    gts = [box(0, 0, 40, 20), box(100, 0, 110, 60), box(0, 100, 9, 106), box(50, 100, 60, 110)]
    image = _image(gts, gts[:2], [False, False, False, True], texts=["word", "ab", "", "###"])
    evaluation = evaluate_images([image], "icdar2015")
    slices = {
        name: {s["bin"]: (s["found"], s["texts"]) for s in bins}
        for name, bins in recall_by(evaluation.images, evaluation.results).items()
    }
    assert slices["height"] == {"0-8": (0, 1), "8-12": (1, 1), "16-24": (1, 1)}
    assert slices["aspect"] == {"1.5-2.5": (1, 2), "6-10": (1, 1)}
    assert slices["orientation"] == {"0-5": (1, 2), "85+": (1, 1)}
    assert slices["length"] == {"2": (1, 1), "4-5": (1, 1)}


def test_threshold_curve():
    far = box(200, 200, 240, 220)
    images = [
        _image([WORD], [WORD, far], scores=[0.9, 0.3]),
        _image([WORD], [WORD], scores=[0.52], name="img_2"),
    ]
    curve = {p["confidence"]: p for p in threshold_curve(evaluate_images(images, "icdar2015"))}
    assert len(curve) == 20
    assert (curve[0.3]["precision"], curve[0.3]["recall"]) == (pytest.approx(2 / 3), 1)
    assert (curve[0.35]["precision"], curve[0.35]["recall"]) == (1, 1)
    assert (curve[0.55]["precision"], curve[0.55]["recall"]) == (1, 0.5)
    assert curve[0.95]["hmean"] == 0
    assert threshold_curve(evaluate_images([_image([WORD], [WORD])], "icdar2015")) is None
    # The score itself takes all detections.
    assert evaluate_images(images, "icdar2015").totals.num_det == 3


def test_page_is_escaped_and_draws_the_worst_images(tmp_path):
    images = [
        _image([WORD], [], texts=["<script>"], name="img_1"),
        _image([WORD], [WORD], scores=[0.5], name="img_2"),
        _image([WORD, box(0, 40, 40, 60)], [], name="<b>"),
    ]
    evaluation = evaluate_images(images, "icdar2015")
    report = to_report(evaluation)
    report["analysis"] = analyse(evaluation)
    assert json.loads(json.dumps(report)) == report
    cv2.imwrite(str(tmp_path / "img_1.Jpg"), np.zeros((80, 120, 3), np.uint8))
    page = to_page(evaluation, report, tmp_path)
    assert "&lt;b&gt;" in page
    assert "<b></b>" not in page
    assert "<script>" not in page
    assert page.count("data:image/jpeg;base64,") == 1
    # The image with two missed texts comes first, the one without failures is not there.
    assert re.findall(r"<figcaption><b>(.*?)</b>", page) == ["&lt;b&gt;", "img_1"]
    assert "not a score" in page
    # One file: text and numbers of the tables, the curve as an element, nothing that is loaded.
    cells = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td>", page)
    assert ("recall", "25.00 %") in cells and ("images", "3") in cells
    assert page.count("<svg") == page.count("</svg>") == 1 and ">precision</text>" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "data:image" not in to_page(evaluation, report, None)
    with pytest.raises(ValueError, match="no such folder"):
        to_page(evaluation, report, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no image"):
        to_page(evaluation, report, tmp_path / "empty")


def test_command_line(tmp_path, capsys):
    for folder, name, text in (
        ("gt", "gt_img_1.txt", "0,0,40,0,40,20,0,20,word\n"),
        ("dt", "res_img_1.txt", "0,0,40,0,40,20,0,20,0.9\n60,0,90,0,90,20,60,20,0.4\n"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    args = ["--protocol", "icdar2015", "--gt", str(tmp_path / "gt"), "--dt", str(tmp_path / "dt")]
    files = ["--json", str(tmp_path / "s.json"), "--html", str(tmp_path / "s.html")]
    assert main(["evaluate", *args, "--why", *files]) == 0
    printed = capsys.readouterr().out
    assert "false alarms: background 1" in printed
    assert "not a score" in printed
    report = json.loads((tmp_path / "s.json").read_text())
    assert report["precision"] == 0.5
    assert report["analysis"]["false_alarms"] == {"background": 1}
    assert (tmp_path / "s.html").read_text().startswith("<!DOCTYPE html>")
    over = ["--json", str(tmp_path / "s.json"), "--dt", str(tmp_path / "s.json")]
    assert main(["evaluate", *args, *over]) == 2
    assert "s.json is an input and would be overwritten" in capsys.readouterr().err
    for inside in ("gt/gt_img_1.txt", "dt/res_img_1.txt"):
        before = (tmp_path / inside).read_text()
        assert main(["evaluate", *args, "--json", str(tmp_path / inside)]) == 2
        assert f"{inside} is an input and would be overwritten" in capsys.readouterr().err
        assert (tmp_path / inside).read_text() == before
    for _ in range(2):
        assert main(["evaluate", *args, "--json", str(tmp_path / "dt/score.json")]) == 0
