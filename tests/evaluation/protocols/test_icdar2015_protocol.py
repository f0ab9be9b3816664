"""The ICDAR2015 protocol against a literal transcription of its rules, and on the real words."""

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from shapely.geometry import Point

from vlpt_d2.config import load_parts
from vlpt_d2.evaluation.protocols import PROTOCOLS, total

match_image = PROTOCOLS["icdar2015"].match_image


def _box(x0, y0, x1, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)


def _signed_area(ring):
    return 0.5 * sum(
        a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, [*ring[1:], ring[0]] if len(ring) else [])
    )


def _clip(subject, clipper):
    """Sutherland-Hodgman: area of the intersection of two convex rings, in plain Python."""
    if _signed_area(clipper) < 0:
        clipper = clipper[::-1]
    for a, b in zip(clipper, [*clipper[1:], clipper[0]]):

        def side(p, a=a, b=b):
            return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])

        clipped = []
        for p, q in zip(subject, [*subject[1:], subject[0]] if subject else []):
            if side(p) >= 0:
                clipped.append(p)
            if side(p) * side(q) < 0:
                t = side(p) / (side(p) - side(q))
                clipped.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
        subject = clipped
    return abs(_signed_area(subject))


def _literal(gts, ignore, dets):
    """The competition's rules, loop by loop: matches, counted ground truths, counted detections."""
    gts, dets = ([[tuple(p) for p in ring.tolist()] for ring in rings] for rings in (gts, dets))
    det_ignored = []
    for det in dets:
        area = abs(_signed_area(det))
        det_ignored.append(
            any(
                area > 0 and _clip(det, gt) / area > 0.5
                for gt, dont_care in zip(gts, ignore)
                if dont_care
            )
        )
    gt_used, det_used = [False] * len(gts), [False] * len(dets)
    matches = []
    for i, gt in enumerate(gts):
        for j, det in enumerate(dets):
            if gt_used[i] or det_used[j] or ignore[i] or det_ignored[j]:
                continue
            inter = _clip(gt, det)
            union = abs(_signed_area(gt)) + abs(_signed_area(det)) - inter
            if union > 0 and inter / union > 0.5:
                gt_used[i] = det_used[j] = True
                matches.append((i, j))
    return matches, ignore.count(False), det_ignored.count(False)


def _random_quads(rng, number):
    """Rotated rectangles crowded enough to overlap; either direction of the ring."""
    quads = []
    for _ in range(number):
        angle, size = rng.uniform(0, np.pi), rng.uniform(5, 20, size=2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        quad = _box(-0.5, -0.5, 0.5, 0.5) * size @ turn.T + rng.uniform(10, 50, size=2)
        quads.append(quad[::-1] if rng.random() < 0.3 else quad)
    return quads


def test_equals_the_literal_rules_on_random_quads():
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(150):
        gts = _random_quads(rng, rng.integers(0, 8))
        ignore = (rng.random(len(gts)) < 0.3).tolist()
        near = (
            [gts[i] + rng.normal(0, 1.5, (4, 2)) for i in rng.integers(0, len(gts), 8)]
            if (gts)
            else []
        )
        near = [quad for quad in near if _is_convex(quad)]
        dets = near + _random_quads(rng, rng.integers(0, 4))
        result = match_image(gts, ignore, dets)
        matches, num_gt, num_det = _literal(gts, ignore, dets)
        assert [m[:2] for m in result.matches] == matches
        assert (result.num_gt, result.num_det) == (num_gt, num_det)
        seen += len(matches)
    assert seen > 100


def _is_convex(quad):
    edge = np.roll(quad, -1, axis=0) - quad
    following = np.roll(edge, -1, axis=0)
    turn = edge[:, 0] * following[:, 1] - edge[:, 1] * following[:, 0]
    return (turn > 0).all() or (turn < 0).all()


def test_iou_of_exactly_a_half_is_no_match():
    gt = [_box(0, 0, 10, 10)]
    assert match_image(gt, [False], [_box(0, 0, 10, 5)]).matches == []
    ((_, _, overlap),) = match_image(gt, [False], [_box(0, 0, 10, 5.01)]).matches
    assert overlap == pytest.approx(0.501)


def test_split_and_merged_words_do_not_match():
    word, halves = [_box(0, 0, 20, 4)], [_box(0, 0, 10, 4), _box(10, 0, 20, 4)]
    split = match_image(word, [False], halves)
    assert (split.matches, split.num_gt, split.num_det) == ([], 1, 2)
    merged = match_image(halves, [False, False], word)
    assert (merged.matches, merged.num_gt, merged.num_det) == ([], 2, 1)


def test_duplicates_count_against_precision():
    result = match_image([_box(0, 0, 9, 4)], [False], [_box(0, 0, 9, 4)] * 3)
    assert [m[:2] for m in result.matches] == [(0, 0)]
    assert result.precision == pytest.approx(1 / 3)
    assert result.recall == 1


def test_the_first_good_detection_wins_not_the_best():
    """Greedy: the first word takes the detection that only the second could have used."""
    gts = [_box(0, 0, 10, 10), _box(3, 0, 13, 10)]
    dets = [_box(2, 0, 12, 10), _box(-1, 0, 9, 10)]
    result = match_image(gts, [False, False], dets)
    assert [m[:2] for m in result.matches] == [(0, 0)]
    swapped = match_image(gts, [False, False], dets[::-1])
    assert [m[:2] for m in swapped.matches] == [(0, 0), (1, 1)]


def test_dont_care_regions():
    gts, ignore = [_box(0, 0, 10, 10), _box(20, 0, 30, 10)], [True, False]
    dets = [
        _box(2, 2, 6, 6),  # wholly inside the region: ignored
        _box(0, 5, 10, 15),  # exactly half inside: not ignored
        _box(0, 4.9, 10, 14.9),  # a little more than half
        _box(20, 0, 30, 10),
    ]
    result = match_image(gts, ignore, dets)
    assert result.ignored_gt == [0]
    assert result.ignored_det == [0, 2]
    assert [m[:2] for m in result.matches] == [(1, 3)]
    assert (result.num_gt, result.num_det) == (1, 2)


def test_a_dont_care_region_over_a_word_takes_its_detection():
    box = _box(0, 0, 10, 10)
    result = match_image([box, box], [False, True], [box])
    assert (result.matches, result.num_gt, result.num_det) == ([], 1, 0)


def test_two_regions_do_not_add_up():
    gts = [_box(0, 0, 4, 10), _box(6, 0, 10, 10)]
    result = match_image(gts, [True, True], [_box(0, 0, 10, 10)])
    assert result.ignored_det == []


@pytest.mark.parametrize(
    ("gts", "dets", "expected"),
    [
        (0, 0, (1.0, 1.0, 1.0)),
        (0, 2, (0.0, 1.0, 0.0)),
        (2, 0, (0.0, 0.0, 0.0)),
    ],
)
def test_empty_sides(gts, dets, expected):
    boxes = [_box(0, 0, 10, 10), _box(20, 0, 30, 10)]
    result = match_image(boxes[:gts], [False] * gts, boxes[:dets])
    assert (result.precision, result.recall, result.hmean) == expected
    totals = total([result])
    assert (totals.num_gt, totals.num_det) == (gts, dets)
    assert (totals.precision, totals.recall, totals.hmean) == (0, 0, 0)


def test_totals_are_sums_not_means():
    box = _box(0, 0, 10, 10)
    good = match_image([box], [False], [box])
    bad = match_image([box, box + 20, box + 40], [False] * 3, [box + 60])
    totals = total([good, bad])
    assert (totals.images, totals.num_gt, totals.num_det, totals.num_matches) == (2, 4, 2, 1)
    assert totals.recall == 0.25
    assert totals.precision == 0.5
    assert totals.hmean == pytest.approx(1 / 3)
    assert total([]).hmean == 0


def test_polygons_and_quads_mix_exactly():
    """A 64-gon and the square around it: IoU is the ratio of their areas."""
    circle = np.array(Point(10, 10).buffer(10, quad_segs=16).exterior.coords[:-1])
    ((gt, det, overlap),) = match_image([_box(0, 0, 20, 20)], [False], [circle]).matches
    assert (gt, det) == (0, 0)
    expected = 0.5 * 64 * 100 * np.sin(2 * np.pi / 64) / 400
    assert overlap == pytest.approx(expected, rel=1e-9)


def test_invalid_polygons_are_repaired_and_counted():
    box = _box(0, 0, 10, 10)
    bow_tie = box[[0, 2, 1, 3]]
    line = _box(0, 0, 10, 0)
    infinite = np.full((4, 2), np.nan)
    result = match_image([box, line], [False, False], [bow_tie, line, infinite, np.zeros((0, 2))])
    assert [m[:2] for m in result.matches] == [(0, 0)]
    assert result.num_gt == 2
    assert result.num_det == 4
    assert result.repaired_gt == {"unusable: no area": 1}
    assert result.repaired_det == {
        "self-crossing": 1,
        "unusable: fewer than three points": 1,
        "unusable: no area": 1,
        "unusable: not finite": 1,
    }
    assert total([result, result]).repaired_det["self-crossing"] == 2


def test_wrong_number_of_flags():
    with pytest.raises(ValueError, match="gt_ignore"):
        match_image([_box(0, 0, 1, 1)], [], [])


def test_real_words_as_their_own_detections(real_icdar2015):
    """All 2077 words that count are found; ``###`` detections vanish with their regions."""
    images = []
    load_parts()
    for dataset_dict in DatasetCatalog.get("icdar2015_test"):
        words = dataset_dict["annotations"]
        polygons = [np.reshape(a["segmentation"][0], (-1, 2)) for a in words]
        images.append((polygons, [a["iscrowd"] == 1 for a in words]))
    totals = total(match_image(p, ignore, p) for p, ignore in images)
    assert (totals.images, totals.num_gt, totals.ignored_gt) == (500, 2077, 3153)
    assert (totals.num_matches, totals.num_det, totals.ignored_det) == (2077, 2077, 3153)
    assert totals.hmean == 1.0
    assert not totals.repaired_gt
