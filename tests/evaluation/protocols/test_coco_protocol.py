"""Average precision over polygons: by hand, and against pycocotools on boxes."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.helpers.slow_protocols import box, random_scene
from vlpt_d2.cli.main import main
from vlpt_d2.evaluation.protocols.coco import match_images


def _measure(gts, ignore, dets, scores):
    results, extra = match_images([gts], [ignore], [dets], [scores])
    return results[0], extra["coco"]


def test_by_hand():
    """Two words; the first detection finds nothing, the second one a word."""
    words = [box(0, 0, 20, 10), box(50, 0, 70, 10)]
    result, averages = _measure(
        words, [False] * 2, [box(100, 0, 120, 10), box(0, 0, 20, 10)], [0.9, 0.8]
    )
    # 51 of COCO's 101 recall levels are reached, at a precision of a half.
    assert averages["AP50"] == pytest.approx(0.5 * 51 / 101)
    assert result.matches == [(0, 1, 1.0)]
    assert (result.num_gt, result.num_det, result.num_matches) == (2, 2, 1)


def test_dont_care_regions_are_crowds():
    region, word = box(0, 0, 50, 50), box(100, 0, 120, 10)
    inside = box(10, 10, 20, 20)
    result, averages = _measure(
        [region, word], [True, False], [inside, inside, word], [0.9, 0.8, 0.7]
    )
    assert averages["AP"] == pytest.approx(1)
    assert (result.ignored_gt, result.ignored_det) == ([0], [0, 1])
    assert (result.num_gt, result.num_det) == (1, 1)


def test_empty_sides_and_missing_confidences():
    word = box(0, 0, 20, 10)
    assert _measure([], [], [], [])[1]["AP"] is None
    assert _measure([word], [False], [], None)[1]["AP"] == 0
    result, averages = _measure([], [], [word], [0.5])
    assert (averages["AP"], result.num_det) == (None, 1)
    with pytest.raises(ValueError, match="confidence"):
        _measure([word], [False], [word], None)


def test_split_merge_duplicates_and_an_iou_of_exactly_a_half():
    word, half = box(0, 0, 20, 10), box(0, 0, 10, 10)
    thirds = [box(0, 0, 7, 10), box(7, 0, 14, 10), box(14, 0, 20, 10)]

    def score(gts, dets):
        result, averages = _measure(
            gts, [False] * len(gts), dets, [0.9 - d for d in range(len(dets))]
        )
        return averages["AP50"], result.num_matches, result.num_gt, result.num_det

    assert score([word], thirds) == (0, 0, 1, 3)
    assert score(thirds, [word]) == (0, 0, 3, 1)
    # All words are found before the second detection of one costs precision.
    assert score([word], [word, word]) == (pytest.approx(1), 1, 1, 2)
    assert score([word], [half]) == (pytest.approx(1), 1, 1, 1)
    assert score([word], [box(0, 0, 9, 10)]) == (0, 0, 1, 1)


def test_faulty_polygons_are_counted():
    word, line = box(0, 0, 20, 10), np.array([[0.0, 0.0], [9.0, 0.0], [9.0, 0.0]])
    result, _ = _measure([word, line], [False] * 2, [word[[0, 2, 1, 3]], line], [0.9, 0.8])
    assert result.repaired_gt == {"unusable: no area": 1}
    assert result.repaired_det == {"self-crossing": 1, "unusable: no area": 1}
    assert [m[:2] for m in result.matches] == [(0, 0)]


def test_boxes_equal_cocos_own_evaluation_of_boxes():
    rng = np.random.default_rng(2)
    scenes = [random_scene(rng) for _ in range(12)]
    scores = [rng.permutation(len(dets)) / 50 + 0.01 for _, _, dets in scenes]
    _, extra = match_images(
        [[box(*g) for g in gts] for gts, _, _ in scenes],
        [ignore for _, ignore, _ in scenes],
        [[box(*d) for d in dets] for _, _, dets in scenes],
        [s.tolist() for s in scores],
    )

    def entry(image, number, b):
        sides = [b[0], b[1], b[2] - b[0], b[3] - b[1]]
        area = sides[2] * sides[3]
        return {"image_id": image, "id": number, "category_id": 1, "bbox": sides, "area": area}

    truth, found = [], []
    for image, ((gts, ignore, dets), values) in enumerate(zip(scenes, scores), 1):
        for b, crowd in zip(gts, ignore):
            truth.append(entry(image, len(truth) + 1, b) | {"iscrowd": int(crowd)})
        for b, score in zip(dets, values):
            found.append(entry(image, len(found) + 1, b) | {"score": float(score)})
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": i} for i in range(1, len(scenes) + 1)],
        "annotations": truth,
        "categories": [{"id": 1, "name": "text"}],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        reference = COCOeval(coco, coco.loadRes(found), "bbox")
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    assert extra["coco"]["AP"] == pytest.approx(reference.stats[0])
    assert extra["coco"]["AP50"] == pytest.approx(reference.stats[1])
    assert 0.2 < extra["coco"]["AP50"] < 0.95


def test_command_line(tmp_path, capsys):
    for folder, name, text in (
        ("gt", "gt_img_1.txt", "0,0,20,0,20,10,0,10,word\n"),
        ("dt", "res_img_1.txt", "0,0,20,0,20,10,0,10,0.9\n"),
        ("bare", "res_img_1.txt", "0,0,20,0,20,10,0,10\n"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    args = ["evaluate", "--protocol", "coco", "--gt", str(tmp_path / "gt")]
    out = tmp_path / "out.json"
    assert main([*args, "--dt", str(tmp_path / "dt"), "--json", str(out)]) == 0
    assert json.loads(out.read_text())["coco"]["AP"] == pytest.approx(1)
    assert "AP75" in capsys.readouterr().out
    assert main([*args, "--dt", str(tmp_path / "bare")]) == 2
    assert "confidence" in capsys.readouterr().err
