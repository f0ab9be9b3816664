"""The words of real test images, perturbed in every way, through every polygon path."""

import functools

import numpy as np
import pytest

from vlpt_d2.data.datasets.icdar2015 import read_quad_file
from vlpt_d2.evaluation.analysis import explain
from vlpt_d2.evaluation.file_evaluation import evaluate_images
from vlpt_d2.evaluation.files import ImageTexts
from vlpt_d2.evaluation.protocols import image_protocols
from vlpt_d2.evaluation.protocols.coco import match_images

PROTOCOLS = image_protocols()


@functools.cache
def _images(root):
    folder = root / "Challenge4_Test_Task1_GT"
    images = []
    for path in sorted(folder.iterdir()):
        words = read_quad_file(path)
        polygons, texts = [word.points for word in words], [word.text for word in words]
        images.append(ImageTexts(path.stem, polygons, [t == "###" for t in texts], texts))
    assert len(images) == 500
    return images


def _perturbed(rng, quad):
    """One of: as it is, jittered, with many points, repeated points, crossed, flat, broken, far."""
    kind = int(rng.integers(0, 10))
    if kind == 1:
        return quad + rng.normal(0, 3, quad.shape)
    if kind == 2:  # points along its sides
        steps = np.linspace(0, 1, int(rng.integers(2, 6)), endpoint=False)[:, None]
        return np.concatenate([a + steps * (b - a) for a, b in zip(quad, np.roll(quad, -1, 0))])
    if kind == 3:
        return np.repeat(quad, 3, axis=0)
    if kind == 4:
        return quad[[0, 2, 1, 3]]
    if kind == 5:
        return quad[[0, 1, 1, 0]]
    if kind == 6:
        return quad[: int(rng.integers(0, 4))]
    if kind == 7:
        return np.where(rng.random(quad.shape) < 0.2, rng.choice([np.nan, np.inf, -np.inf]), quad)
    if kind == 8:
        return quad + rng.choice([-3000.0, 1e5, 1e7], 2)
    if kind == 9:  # a star that crosses itself
        return rng.uniform(quad.min(0), quad.max(0) + 1, (int(rng.integers(5, 16)), 2))
    return quad


@functools.cache
def _perturbed_images(root):
    rng = np.random.default_rng(1)
    images = []
    for image in _images(root)[::5]:
        dets = [_perturbed(rng, quad) for quad in image.gt_polygons for _ in range(2)]
        dets = [dets[i] for i in rng.permutation(len(dets))[: len(dets) * 2 // 3]]
        gts = [_perturbed(rng, quad) if rng.random() < 0.1 else quad for quad in image.gt_polygons]
        scores = rng.random(len(dets)).tolist()
        images.append(
            ImageTexts(image.name, gts, image.gt_ignore, image.gt_texts, dets, scores, True)
        )
    return images


# Rules that share their way through the polygons with another one are left out.
SHARED = {"icdar2017", "td500", "ctw1500", "icdar2013-competition"}
SHARED |= {"totaltext-deteval-old", "totaltext-deteval-official-old"}


@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS) - SHARED))
def test_perturbed_words_go_through(icdar2015_root, protocol):
    images = _perturbed_images(icdar2015_root)
    with np.errstate(all="raise"):
        evaluation = evaluate_images(images, protocol)
    totals = evaluation.totals
    words = sum(len(i.gt_polygons) for i in images)
    assert words > 900
    assert totals.num_det + totals.ignored_det == sum(len(i.det_polygons) for i in images)
    if protocol != "td500-psenet":  # which counts found difficult ones, and not the missed
        assert totals.num_gt + totals.ignored_gt == words or protocol == "ctw1500-psenet"
    assert 0.05 < totals.recall < 0.9
    assert 0.05 < totals.precision < 0.9
    if "icdar2013" not in protocol:
        assert sum(totals.repaired_det.values()) > 150


def test_explaining_and_averaging_them(icdar2015_root):
    images = _perturbed_images(icdar2015_root)[:50]
    evaluation = evaluate_images(images, "icdar2015")
    for image, result in zip(evaluation.images, evaluation.results):
        missed, alarms = explain(image, result)
        assert len(missed) == result.num_gt - len(result.matches)
        assert len(alarms) == result.num_det - len(result.matches)
    results, extra = match_images(
        [i.gt_polygons for i in images],
        [i.gt_ignore for i in images],
        [i.det_polygons for i in images],
        [i.scores for i in images],
    )
    assert 0 < extra["coco"]["AP50"] < 1
    assert sum(r.num_matches for r in results) > 15


@pytest.mark.parametrize("protocol", ["icdar2015", "tiou", "totaltext-pascal", "icdar2013"])
def test_the_words_themselves_are_perfect(icdar2015_root, protocol):
    images = [
        ImageTexts(i.name, i.gt_polygons, i.gt_ignore, i.gt_texts, i.gt_polygons, None, True)
        for i in _images(icdar2015_root)
    ]
    totals = evaluate_images(images, protocol).totals
    if protocol == "totaltext-pascal":  # a word of 1 square pixel more may miss by its "+ 1"
        assert totals.recall > 0.99
    elif protocol == "icdar2013":  # upright boxes of turned words overlap, which DetEval minds
        assert 0.9 < totals.recall <= 1
    else:
        assert (totals.num_gt, totals.num_matches) == (2077, 2077)
        assert totals.recall == 1 if protocol == "icdar2015" else totals.recall > 0.99
