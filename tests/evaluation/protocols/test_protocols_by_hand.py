"""Cases computed by hand: splits, merges, don't-care regions, duplicates, exact thresholds."""

import tracemalloc

import numpy as np
import pytest

from tests.helpers.slow_protocols import box
from vlpt_d2.evaluation.protocols import image_protocols, total
from vlpt_d2.evaluation.protocols.raster import fill, shared_pixels

PROTOCOLS = image_protocols()

WORD = box(0, 0, 20, 10)
LEFT, RIGHT = box(0, 0, 10, 10), box(10, 0, 20, 10)
FAR = box(100, 100, 120, 110)
DETEVAL = [name for name in PROTOCOLS if "deteval" in name]
IOU_LIKE = [name for name in PROTOCOLS if "deteval" not in name and "icdar2013" not in name]


def _score(name, gts, dets, ignore=None):
    """(recall credit, precision credit, ground truths, detections)."""
    result = PROTOCOLS[name].match_image(gts, ignore or [False] * len(gts), dets)
    return (
        pytest.approx(result.recall_credit),
        pytest.approx(result.precision_credit),
        result.num_gt,
        result.num_det,
    )


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_a_perfect_detection_and_a_false_alarm(name):
    assert _score(name, [WORD], [WORD, FAR]) == (1, 1, 1, 2)
    totals = total([PROTOCOLS[name].match_image([WORD], [False], [WORD, FAR])])
    assert (totals.precision, totals.recall) == (0.5, 1.0)
    assert totals.hmean == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_empty_sides(name):
    assert _score(name, [], []) == (0, 0, 0, 0)
    assert _score(name, [], [WORD]) == (0, 0, 0, 1)
    assert _score(name, [WORD], []) == (0, 0, 1, 0)
    totals = total([PROTOCOLS[name].match_image([], [], [WORD])])
    assert (totals.precision, totals.recall, totals.hmean) == (0, 0, 0)
    assert total([]).hmean == 0


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_one_flag_per_ground_truth(name):
    with pytest.raises(ValueError, match="gt_ignore"):
        PROTOCOLS[name].match_image([WORD], [], [WORD])


@pytest.mark.parametrize("name", IOU_LIKE)
def test_iou_protocols_know_no_split_and_no_merge(name):
    thirds = [box(0, 0, 7, 10), box(7, 0, 14, 10), box(14, 0, 20, 10)]
    assert _score(name, [WORD], thirds) == (0, 0, 1, 3)
    assert _score(name, thirds, [WORD]) == (0, 0, 3, 1)


@pytest.mark.parametrize("name", DETEVAL)
def test_deteval_split_and_merge(name):
    assert _score(name, [WORD], [LEFT, RIGHT]) == (0.8, 1.6, 1, 2)
    thirds = [box(0, 0, 10, 10), box(10, 0, 20, 10), box(20, 0, 30, 10)]
    assert _score(name, thirds, [box(0, 0, 30, 10)]) == (2.4, 0.8, 3, 1)
    # Three fifths of the word are found in two pieces: too little for 0.7 and for 0.8.
    pieces = [box(0, 0, 6, 10), box(14, 0, 20, 10)]
    assert _score(name, [WORD], pieces) == (0, 0, 1, 2)


@pytest.mark.parametrize("name", ["icdar2013", "icdar2013-competition"])
def test_icdar2013_split_and_merge(name):
    thirds = [box(0, 0, 9, 9), box(10, 0, 19, 9), box(20, 0, 29, 9)]  # they hold their last column
    word = box(0, 0, 29, 9)
    assert _score(name, [word], thirds) == (0.8, 2.4, 1, 3)
    assert _score(name, thirds, [word]) == (3, 1, 3, 1)


def test_halves_are_no_merge_where_half_is_precise_enough():
    """The detection's tau of 0.5 passes the old 0.4: each half is matched one to one with it."""
    assert _score("totaltext-deteval-old", [LEFT, RIGHT], [WORD]) == (2, 2, 2, 1)
    assert _score("totaltext-deteval", [LEFT, RIGHT], [WORD]) == (1.6, 0.8, 2, 1)
    # ICDAR2013's competition takes one of the halves for a split into one part.
    halves = [box(0, 0, 9, 9), box(10, 0, 19, 9)]
    assert _score("icdar2013-competition", halves, [box(0, 0, 19, 9)]) == (1, 1, 2, 1)
    assert _score("icdar2013", halves, [box(0, 0, 19, 9)]) == (2, 1, 2, 1)


def test_icdar2013_conditions_of_deteval():
    """A word and a detection that fit, which another detection touches by a corner."""
    word, corner = box(0, 0, 19, 9), box(19, 9, 40, 30)
    # DetEval: no single overlap; then, as two detections touch it, a "split" into the one part.
    assert _score("icdar2013", [word], [word, corner]) == (1, 1, 1, 2)
    # Here the second word is touched by nothing else, but the detection touches two.
    words = [box(0, 0, 19, 9), box(19, 9, 60, 60)]
    assert _score("icdar2013-competition", words, [words[0]]) == (1, 1, 2, 1)
    assert _score("icdar2013", words, [words[0]]) == (1, 1, 2, 1)
    # A word held at half its height is good at recall 0.8 neither alone nor as a part.
    assert _score("icdar2013", [word], [box(0, 0, 19, 4)]) == (0, 0, 1, 1)
    # Four fifths exactly are enough.
    assert _score("icdar2013", [word], [box(0, 0, 19, 7)]) == (1, 1, 1, 1)


def test_icdar2013_ignores_at_four_tenths():
    region = box(0, 0, 9, 9)
    # Rows 0 to 9 are the region's: 4 of 10 rows inside is not more than 0.4, 5 of 10 is.
    assert _score("icdar2013", [region], [box(0, 6, 9, 15)], [True]) == (0, 0, 0, 1)
    assert _score("icdar2013", [region], [box(0, 5, 9, 14)], [True]) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "at_half"),
    [
        ("icdar2015", 0),
        ("icdar2017", 0),
        ("td500", 0),
        ("ctw1500", 0),
        ("tiou", 0),
        ("ctw1500-psenet", 1),
        ("td500-psenet", 1),
        ("totaltext-pascal", 0),  # 100 / (200 + 1)
    ],
)
def test_iou_of_exactly_one_half(name, at_half):
    assert _score(name, [WORD], [LEFT])[0] == at_half
    assert _score(name, [WORD], [box(0, 0, 11, 10)])[0] != 0


def test_pascal_threshold_is_not_strict():
    # 101 columns of one pixel against 202 of union, less the pixel that is added: exactly a half.
    gt, det = box(0, 0, 201, 1), box(0, 0, 101, 1)
    assert _score("totaltext-pascal", [gt], [det]) == (1, 1, 1, 1)
    assert _score("totaltext-pascal", [gt], [box(0, 0, 100, 1)]) == (0, 0, 1, 1)


def test_pascal_looks_at_the_best_ground_truth_alone():
    """The second detection would fit the second word, but the first word is its best."""
    words = [box(0, 0, 20, 10), box(4, 0, 24, 10)]
    dets = [box(0, 0, 20, 10), box(1, 0, 21, 10)]
    assert _score("totaltext-pascal", words, dets) == (1, 1, 2, 2)
    assert _score("icdar2015", words, dets) == (2, 2, 2, 2)


@pytest.mark.parametrize("name", ["icdar2013", "icdar2013-competition"])
def test_icdar2013_thresholds_are_not_strict(name):
    word = box(0, 0, 19, 9)  # 20 x 10 pixels
    assert _score(name, [word], [box(0, 0, 19, 7)]) == (1, 1, 1, 1)  # recall 0.8
    assert _score(name, [word], [box(0, 0, 19, 6)]) == (0, 0, 1, 1)
    assert _score(name, [word], [box(0, 0, 49, 9)]) == (1, 1, 1, 1)  # precision 0.4
    assert _score(name, [word], [box(0, 0, 50, 9)]) == (0, 0, 1, 1)


@pytest.mark.parametrize("name", ["totaltext-deteval-old", "totaltext-deteval-official-old"])
def test_deteval_old_thresholds_of_one_to_one_are_strict(name):
    gt = box(0, 0, 10, 10)
    assert _score(name, [gt], [box(0, 0, 10, 8)]) == (0, 0, 1, 1)  # sigma is 0.8
    assert _score(name, [gt], [box(0, 0, 10, 9)]) == (1, 1, 1, 1)
    assert _score(name, [box(0, 0, 4, 10)], [gt]) == (0, 0, 1, 1)  # tau is 0.4
    assert _score(name, [box(0, 0, 5, 10)], [gt]) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    "name", ["totaltext-deteval", "totaltext-deteval-official", "totaltext-deteval-latest"]
)
def test_deteval_thresholds_of_one_to_one_are_strict(name):
    gt = box(0, 0, 10, 10)
    assert _score(name, [gt], [box(0, 0, 10, 7)]) == (0, 0, 1, 1)  # sigma is 0.7
    assert _score(name, [gt], [box(0, 0, 10, 8)]) == (1, 1, 1, 1)
    assert _score(name, [box(0, 0, 6, 10)], [gt]) == (0, 0, 1, 1)  # tau is 0.6
    assert _score(name, [box(0, 0, 7, 10)], [gt]) == (1, 1, 1, 1)


def test_deteval_rounds_in_the_official_script_alone():
    """sigma is 0.704, more than 0.7, but 0.70 in two decimals."""
    gt, det = box(0, 0, 125, 1), box(0, 0, 88, 1)
    assert _score("totaltext-deteval", [gt], [det])[0] == 1
    assert _score("totaltext-deteval-official", [gt], [det])[0] == 0
    assert _score("totaltext-deteval-latest", [gt], [det])[0] == 0


def test_deteval_splits_count_at_the_threshold():
    gt = box(0, 0, 10, 10)
    parts = [box(0, 0, 10, 4), box(0, 7, 10, 10)]  # 0.4 and 0.3
    assert _score("totaltext-deteval-official", [gt], parts) == (0.8, 1.6, 1, 2)
    assert _score("totaltext-deteval-old", [gt], parts) == (0, 0, 1, 2)


def test_deteval_old_thresholds():
    gt = box(0, 0, 10, 10)
    assert _score("totaltext-deteval-old", [gt], [box(0, 0, 10, 8)]) == (0, 0, 1, 1)
    assert _score("totaltext-deteval-old", [gt], [box(0, 0, 20, 9)]) == (1, 1, 1, 1)  # tau 0.5
    assert _score("totaltext-deteval", [gt], [box(0, 0, 20, 9)]) == (0, 0, 1, 1)


def test_deteval_one_detection_may_serve_two_words_but_in_the_last_script():
    """Each word has one good detection, and it is the same: step 1 credits it twice."""
    twins = [WORD, WORD]
    assert _score("totaltext-deteval", twins, [WORD]) == (2, 2, 2, 1)
    assert _score("totaltext-deteval-latest", twins, [WORD]) == (1.6, 0.8, 2, 1)


@pytest.mark.parametrize("name", sorted(set(PROTOCOLS) - {"td500-psenet", "ctw1500-psenet"}))
def test_duplicates_count_against_precision(name):
    recall, precision, num_gt, num_det = _score(name, [WORD], [WORD, WORD])
    assert (num_gt, num_det) == (1, 2)
    # DetEval: two candidates are none, then they make a split.
    if "deteval" in name or "icdar2013" in name:
        assert (recall, precision) == (0.8, 1.6)
    else:
        assert (recall, precision) == (1, 1)


def test_reuse_in_psenets_scripts():
    near = [box(0, 0, 20, 10), box(2, 0, 22, 10)]
    # TD500: one detection for two lines, and two detections for one line.
    assert _score("td500-psenet", near, near[:1]) == (2, 2, 2, 1)
    assert _score("td500-psenet", near[:1], near) == (1, 1, 1, 2)
    # CTW1500: the detection takes both lines, and counts once.
    assert _score("ctw1500-psenet", near, near[:1]) == (1, 1, 2, 1)
    # So the second detection finds nothing that is left.
    assert _score("ctw1500-psenet", near, near) == (1, 1, 2, 2)


DONT_CARE = sorted(set(PROTOCOLS) - {"ctw1500", "ctw1500-psenet", "td500-psenet"})


@pytest.mark.parametrize("name", DONT_CARE)
def test_dont_care_regions_swallow_what_lies_in_them(name):
    inside, half = box(2, 2, 8, 8), box(0, 5, 9, 15)
    region = box(0, 0, 9, 10)
    score = _score(name, [region, FAR], [inside, half, FAR], [True, False])
    ignored_half = "icdar2013" in name  # more than 0.4
    assert score == (1, 1, 1, 1 if ignored_half else 2)
    assert _score(name, [region], [box(0, 4, 9, 14)], [True])[3] == 0  # more than half


@pytest.mark.parametrize("name", ["ctw1500", "ctw1500-psenet"])
def test_ctw1500_ignores_nothing(name):
    assert _score(name, [WORD], [WORD, WORD], [True]) == (1, 1, 1, 2)


def test_td500_readings_of_difficult_lines():
    gts, difficult = [WORD, FAR], [True, False]
    # Don't-care region: the detection vanishes, the line too.
    assert _score("td500", gts, [WORD, FAR], difficult) == (1, 1, 1, 1)
    # PSENet: a matched difficult line counts, a missed one does not.
    assert _score("td500-psenet", gts, [WORD, FAR], difficult) == (2, 2, 2, 2)
    assert _score("td500-psenet", gts, [FAR], difficult) == (1, 1, 1, 1)
    assert _score("td500-psenet", gts, [WORD], difficult) == (1, 1, 2, 1)


def test_tiou_by_hand():
    # A loose detection: IoU 200 / 300, nothing cut, no other text inside.
    assert _score("tiou", [WORD], [box(0, 0, 30, 10)]) == (200 / 300, 200 / 300, 1, 1)
    # A quarter of the word cut off: IoU 0.75, and 0.75 of that for recall.
    assert _score("tiou", [WORD], [box(0, 0, 15, 10)]) == (0.75**2, 0.75, 1, 1)
    # One hundredth cut off costs IoU alone.
    long = box(0, 0, 100, 10)
    assert _score("tiou", [long], [box(0, 0, 99, 10)]) == (0.99, 0.99, 1, 1)
    # A third of the detection lies on another word: two thirds of IoU for precision.
    words = [WORD, box(20, 0, 40, 10)]
    assert _score("tiou", words, [box(0, 0, 30, 10)]) == (2 / 3, 2 / 3 * 2 / 3, 2, 1)
    # So it does where the other is a don't-care region.
    assert _score("tiou", words, [box(0, 0, 30, 10)], [False, True]) == (2 / 3, 4 / 9, 1, 1)
    # Where the other word lies on the matched one, it takes nothing away.
    assert _score("tiou", [WORD, box(0, 0, 20, 4)], [WORD]) == (1, 1, 2, 1)


def _inside(x, y, ring):
    """Whether a point lies in a ring, by the crossing rule, point by point."""
    odd = False
    for (xa, ya), (xb, yb) in zip([ring[-1], *ring[:-1]], ring):
        if ya <= y < yb or yb <= y < ya:
            odd ^= x < (xa - xb) * (y - yb) / (ya - yb) + xb
    return odd


def test_raster_areas_point_by_point():
    rng = np.random.default_rng(3)
    for _ in range(40):
        rings = [rng.integers(-3, 25, (int(rng.integers(3, 9)), 2)) for _ in range(2)]
        grids = [
            {(x, y) for x in range(30) for y in range(30) if _inside(x, y, ring.tolist())}
            for ring in rings
        ]
        masks = [fill(ring) for ring in rings]
        assert [mask.area for mask in masks] == [len(grid) for grid in grids]
        shared = shared_pixels(*masks)
        low = np.maximum(rings[0].min(0), rings[1].min(0))
        sides = np.maximum(np.minimum(rings[0].max(0), rings[1].max(0)) - low, 0)
        assert shared == (len(grids[0] & grids[1]) if sides[0] * sides[1] > 1 else 0)


def test_pixels_of_a_box_are_its_area():
    mask = fill(box(3, 4, 13, 9))
    assert (mask.area, mask.rows.min(), mask.ends.min()) == (50, 4, 3)
    assert fill(np.zeros((0, 2))).area == 0


def test_pixels_of_large_polygons_take_little_memory():
    tracemalloc.start()
    first, second = fill(box(0, 0, 19_999, 19_999)), fill(box(10_000, 0, 19_999, 10))
    assert (first.area, second.area) == (19_999**2, 9_999 * 10)
    assert shared_pixels(first, second) == second.area
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_unusable_polygons_stay_in_the_counts(name):
    line = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 0.0]])
    infinite = np.full((4, 2), np.nan)
    empty, huge = np.zeros((0, 2)), box(0, 0, 1e7, 1e7)
    with np.errstate(all="raise"):
        result = PROTOCOLS[name].match_image(
            [WORD, line, infinite], [False] * 3, [WORD, line, infinite, empty, huge]
        )
    assert result.num_det == 5
    assert result.num_gt == 3
    assert 0 < result.recall_credit <= 3
