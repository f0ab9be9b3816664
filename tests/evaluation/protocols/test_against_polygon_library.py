"""Areas against the scripts' own geometry library, where it is installed (PyPI: Polygon3)."""

import numpy as np
import pytest
import shapely

from tests.helpers.slow_protocols import deteval_of_shares
from vlpt_d2.data.datasets.icdar2015 import read_quad_file
from vlpt_d2.evaluation.protocols import PROTOCOLS

Polygon = pytest.importorskip("Polygon").Polygon


def _shared(a, b):
    both = a & b
    return both.area() if len(both) else 0.0


def _noisy(rng, quad):
    """Shifted, cut in two, or as it is; whole pixels, as the scripts read."""
    kind = rng.random()
    if kind < 0.4:
        found = [np.trunc(quad + rng.normal(0, 4, quad.shape))]
    elif kind < 0.6:
        top, bottom = np.trunc((quad[[0, 3]] + quad[[1, 2]]) / 2)
        found = [
            np.array([quad[0], top, bottom, quad[3]]),
            np.array([top, quad[1], quad[2], bottom]),
        ]
    else:
        found = [quad]
    return [f for f in found if shapely.Polygon(f).is_valid and shapely.Polygon(f).area > 0]


def test_real_words_measured_by_the_library(icdar2015_root):
    rng = np.random.default_rng(0)
    ours = {name: np.zeros(4) for name in ("icdar2015", "totaltext-deteval")}
    theirs = {name: np.zeros(4) for name in ours}
    for path in sorted((icdar2015_root / "Challenge4_Test_Task1_GT").iterdir())[:120]:
        words = read_quad_file(path)
        gts, ignore = [word.points for word in words], [word.text == "###" for word in words]
        dets = [found for quad in gts for found in _noisy(rng, quad)]
        for name, sums in ours.items():
            r = PROTOCOLS[name].match_image(gts, ignore, dets)
            sums += (r.recall_credit, r.precision_credit, r.num_gt, r.num_det)
        care = [Polygon(g) for g, bad in zip(gts, ignore) if not bad]
        regions = [Polygon(g) for g, bad in zip(gts, ignore) if bad]
        found = [Polygon(d) for d in dets]
        found = [d for d in found if all(_shared(d, g) / d.area() <= 0.5 for g in regions)]
        matched, used = 0, set()
        for gt in care:
            for j, det in enumerate(found):
                shared = _shared(gt, det)
                if j not in used and shared / (gt.area() + det.area() - shared) > 0.5:
                    used.add(j)
                    matched += 1
                    break
        theirs["icdar2015"] += (matched, matched, len(care), len(found))
        sigma = [[_shared(g, d) / g.area() for d in found] for g in care]
        tau = [[_shared(g, d) / d.area() for d in found] for g in care]
        theirs["totaltext-deteval"] += deteval_of_shares(
            sigma, tau, len(care), len(found), 0.7, 0.6
        )
    for name, sums in ours.items():
        assert sums == pytest.approx(theirs[name], abs=1e-9), name
    assert ours["icdar2015"][0] > 200
