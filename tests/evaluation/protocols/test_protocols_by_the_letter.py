"""Every protocol against its rules written out loop by loop, on random scenes."""

from functools import cache

import numpy as np
import pytest

from tests.helpers import slow_protocols as slow
from vlpt_d2.evaluation.protocols import image_protocols, total

PROTOCOLS = image_protocols()

SCENES = 250


def _credits(result):
    return result.recall_credit, result.precision_credit, result.num_gt, result.num_det


def _counts(matched, num_gt, num_det):
    return matched, matched, num_gt, num_det


def _icdar2015(gts, ignore, dets):
    pairs, gone = slow.icdar2015(gts, ignore, dets)
    return _counts(len(pairs), ignore.count(False), gone.count(False))


LITERAL = {
    "icdar2015": _icdar2015,
    "icdar2017": _icdar2015,
    "td500": _icdar2015,
    "ctw1500": lambda *scene: _counts(*slow.ctw1500(*scene)),
    "ctw1500-psenet": lambda *scene: _counts(*slow.ctw1500_psenet(*scene)),
    "td500-psenet": lambda *scene: _counts(*slow.td500_psenet(*scene)),
    "totaltext-pascal": lambda *scene: _counts(*slow.pascal(*scene)),
    "totaltext-deteval": lambda *scene: slow.deteval(*scene, tr=0.7, tp=0.6),
    "totaltext-deteval-old": lambda *scene: slow.deteval(*scene, tr=0.8, tp=0.4),
    "totaltext-deteval-official": lambda *scene: slow.deteval(
        *scene, tr=0.7, tp=0.6, rounded=True, extra=1
    ),
    "totaltext-deteval-official-old": lambda *scene: slow.deteval(
        *scene, tr=0.8, tp=0.4, rounded=True, extra=1
    ),
    "totaltext-deteval-latest": lambda *scene: slow.deteval(
        *scene, tr=0.7, tp=0.6, rounded=True, extra=1, both_sides=True
    ),
    "tiou": slow.tiou,
    "icdar2013": lambda *scene: slow.icdar2013(*scene, strict=True),
    "icdar2013-competition": lambda *scene: slow.icdar2013(*scene, strict=False),
}


def test_every_protocol_is_written_out_here():
    assert set(LITERAL) == set(PROTOCOLS)


@cache
def scenes():
    rng = np.random.default_rng(7)
    return [slow.random_scene(rng) for _ in range(SCENES)]


@cache
def results_of(name):
    match = PROTOCOLS[name].match_image
    return [
        match([slow.box(*g) for g in gts], ignore, [slow.box(*d) for d in dets])
        for gts, ignore, dets in scenes()
    ]


@pytest.mark.parametrize("name", sorted(LITERAL))
def test_equals_the_literal_rules(name):
    results = results_of(name)
    for scene, result in zip(scenes(), results, strict=True):
        assert _credits(result) == pytest.approx(LITERAL[name](*scene), abs=1e-9)
    # The scenes are worth something: there are matches, and there is what does not match.
    totals = total(results)
    assert sum(result.num_matches for result in results) > SCENES / 2
    assert 0.1 < totals.recall < 0.95
    assert 0.1 < totals.precision < 0.95


def test_the_scenes_tell_the_protocols_apart():
    """Variants that differ in a rule differ in a score, or the scenes do not test that rule."""
    scores = {name: round(total(results_of(name)).hmean, 9) for name in PROTOCOLS}
    same = {"icdar2015", "icdar2017", "td500"}  # one rule, three benchmarks
    assert len({scores[name] for name in same}) == 1
    assert len(set(scores.values())) == len(PROTOCOLS) - 2
