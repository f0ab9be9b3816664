"""The benchmarks' rules written out loop by loop, in plain Python, for comparison.

Images are upright boxes (x0, y0, x1, y1) of whole pixels, so that areas are numbers of cells and
exact, and thresholds are met exactly again and again.
"""

import math

import numpy as np


def box(x0, y0, x1, y1):
    """The corners of a box as an array."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)


def cells(rectangle, last=0):
    """The cells of a box as a set; with last=1 also those of its last row and column."""
    x0, y0, x1, y1 = rectangle
    return {(x, y) for x in range(x0, x1 + last) for y in range(y0, y1 + last)}


def random_scene(rng, words=6, size=40):
    """Words (boxes), don't-care marks, and detections that shift, split, merge and repeat them."""
    gts = []
    for _ in range(int(rng.integers(0, words + 1))):
        x, y = (int(v) for v in rng.integers(0, size, 2))
        gts.append((x, y, x + int(rng.integers(2, 13)), y + int(rng.integers(2, 7))))
        if rng.random() < 0.4:  # a neighbour, to be merged with
            x0, y0, x1, y1 = gts[-1]
            gts.append((x1, y0, x1 + int(rng.integers(2, 9)), y1))
    ignore = [bool(rng.random() < 0.25) for _ in gts]
    dets = []
    for i, (x0, y0, x1, y1) in enumerate(gts):
        kind = rng.integers(0, 7)
        if kind == 0:
            dets.append((x0, y0, x1, y1))
        elif kind == 1:
            cut = int(rng.integers(x0 + 1, x1)) if x1 - x0 > 1 else x1
            dets += [(x0, y0, cut, y1), (cut, y0, max(x1, cut + 1), y1)]
        elif kind == 2 and i + 1 < len(gts):
            a, b = gts[i], gts[i + 1]
            dets.append((*map(min, a[:2], b[:2]), *map(max, a[2:], b[2:])))
        elif kind == 3:
            dets += [(x0, y0, x1, y1)] * 2
        elif kind == 4:
            dx, dy = (int(v) for v in rng.integers(-3, 4, 2))
            dets.append((x0 + dx, y0 + dy, x1 + dx + int(rng.integers(0, 3)), y1 + dy))
        elif kind == 5:
            dets.append((x0, y0, (x0 + x1 + 1) // 2 + 1, y1))
    if rng.random() < 0.5:
        x, y = (int(v) for v in rng.integers(0, size, 2))
        dets.append((x, y, x + 5, y + 4))
    order = rng.permutation(len(dets))
    return gts, ignore, [tuple(max(0, v) for v in dets[i]) for i in order]


def _share(part, whole):
    return part / whole if whole else 0.0


def _iou(a, b, extra=0):
    return _share(len(a & b), len(a | b) + extra)


def ctw1500(gts, ignore, dets):
    """(matched, ground truths, detections): no line is a don't-care region."""
    gts, dets = [cells(g) for g in gts], [cells(d) for d in dets]
    used = set()
    for gt in gts:
        for j, det in enumerate(dets):
            if j not in used and _iou(gt, det) > 0.5:
                used.add(j)
                break
    return len(used), len(gts), len(dets)


def ctw1500_psenet(gts, ignore, dets):
    """True positives count detections; each covers all the lines that it hits."""
    gts, dets = [cells(g) for g in gts], [cells(d) for d in dets]
    covered, positives = set(), 0
    for det in dets:
        good = False
        for i, gt in enumerate(gts):
            if _iou(gt, det) >= 0.5 and i not in covered:
                covered.add(i)
                good = True
        positives += good
    return positives, len(gts), len(dets)


def td500_psenet(gts, difficult, dets):
    """Matched lines, matched and missed easy lines, detections."""
    gts, dets = [cells(g) for g in gts], [cells(d) for d in dets]
    hit = [any(_iou(gt, det) >= 0.5 for det in dets) for gt in gts]
    missed = sum(not h and not hard for h, hard in zip(hit, difficult))
    return sum(hit), sum(hit) + missed, len(dets)


def icdar2015(gts, ignore, dets):
    """The matched pairs, and which detections are ignored."""
    gts, dets = [cells(g) for g in gts], [cells(d) for d in dets]
    gone = [
        any(_share(len(gt & det), len(det)) > 0.5 for gt, bad in zip(gts, ignore) if bad)
        for det in dets
    ]
    pairs = []
    for i, gt in enumerate(gts):
        for j, det in enumerate(dets):
            if ignore[i] or gone[j] or i in (p[0] for p in pairs) or j in (p[1] for p in pairs):
                continue
            if _iou(gt, det) > 0.5:
                pairs.append((i, j))
    return pairs, gone


def tiou(gts, ignore, dets):
    """(credit for recall, credit for precision, ground truths, detections)."""
    pairs, gone = icdar2015(gts, ignore, dets)
    gts, dets = [cells(g) for g in gts], [cells(d) for d in dets]

    def f(x):
        return 1 if x <= 0.01 else 1 - x

    recall = precision = 0.0
    for i, j in pairs:
        gt, det = gts[i], dets[j]
        others = set().union(*(g for k, g in enumerate(gts) if k != i))
        recall += _iou(gt, det) * f(len(gt - det) / len(gt))
        precision += _iou(gt, det) * f((len(det & others) - len(det & gt & others)) / len(det))
    return recall, precision, ignore.count(False), gone.count(False)


def deteval(gts, ignore, dets, tr, tp, rounded=False, extra=0, both_sides=False):
    """Total-Text's DetEval: (credit for recall, for precision, ground truths, detections)."""
    gts, dets = [cells(g) for g in gts], [cells(d) for d in dets]
    dont_care = [g for g, bad in zip(gts, ignore) if bad]
    gts = [g for g, bad in zip(gts, ignore) if not bad]
    dets = [d for d in dets if not any(_share(len(d & g), len(d) + extra) > 0.5 for g in dont_care)]
    sigma = [[_share(len(g & d), len(g)) for d in dets] for g in gts]
    tau = [[_share(len(g & d), len(d)) for d in dets] for g in gts]
    return deteval_of_shares(sigma, tau, len(gts), len(dets), tr, tp, rounded, both_sides)


def deteval_of_shares(sigma, tau, num_gt, num_det, tr, tp, rounded=False, both_sides=False):
    """The three steps, on tables of sigma and tau."""
    if rounded:
        sigma = [[float(np.round(v, 2)) for v in row] for row in sigma]
        tau = [[float(np.round(v, 2)) for v in row] for row in tau]
    recall = precision = 0.0
    gt_done, det_done = [False] * num_gt, [False] * num_det
    for g in range(num_gt):
        covering = [d for d in range(num_det) if sigma[g][d] > tr]
        lying = [d for d in range(num_det) if tau[g][d] > tp]
        if len(covering) != 1 or len(lying) != 1:
            continue
        if both_sides:
            rivals = sum(sigma[i][covering[0]] > tr for i in range(num_gt))
            if rivals != 1 or sum(tau[i][lying[0]] > tp for i in range(num_gt)) != 1:
                continue
        recall, precision = recall + 1, precision + 1
        gt_done[g] = det_done[covering[0]] = True
    for g in range(num_gt):
        if gt_done[g] or sum(s > 0 for s in sigma[g]) < 2:
            continue
        parts = [d for d in range(num_det) if tau[g][d] >= tp and not det_done[d]]
        if len(parts) == 1:
            if sigma[g][parts[0]] >= tr:
                recall, precision = recall + 1, precision + 1
                gt_done[g] = det_done[parts[0]] = True
        elif np.sum([sigma[g][d] for d in parts]) >= tr:
            recall, precision = recall + 0.8, precision + 0.8 * len(parts)
            gt_done[g] = True
            for d in parts:
                det_done[d] = True
    for d in range(num_det):
        if det_done[d] or sum(tau[g][d] > 0 for g in range(num_gt)) < 2:
            continue
        parts = [g for g in range(num_gt) if sigma[g][d] >= tp and not gt_done[g]]
        if len(parts) == 1:
            if tau[parts[0]][d] >= tp and sigma[parts[0]][d] >= tr:
                recall, precision = recall + 1, precision + 1
                gt_done[parts[0]] = det_done[d] = True
        elif np.sum([tau[g][d] for g in parts]) >= tp:
            recall, precision = recall + 0.8 * len(parts), precision + 0.8
            det_done[d] = True
            for g in parts:
                gt_done[g] = True
    return recall, precision, num_gt, num_det


def pascal(gts, ignore, dets):
    """Total-Text's Pascal: (true positives, ground truths, detections)."""
    gts, dets = [cells(g) for g in gts], [cells(d) for d in dets]
    dont_care = [g for g, bad in zip(gts, ignore) if bad]
    gts = [g for g, bad in zip(gts, ignore) if not bad]
    dets = [d for d in dets if not any(_share(len(d & g), len(d) + 1) > 0.5 for g in dont_care)]
    taken = set()
    for det in dets:
        best, which = -1.0, None
        for i, gt in enumerate(gts):
            if _iou(gt, det, extra=1) > best:
                best, which = _iou(gt, det, extra=1), i
        if best >= 0.5 and which not in taken:
            taken.add(which)
    return len(taken), len(gts), len(dets)


def icdar2013(gts, ignore, dets, strict):
    """(credit for recall, for precision, ground truths, detections); boxes hold their last row."""
    corners = gts, dets
    gts, dets = [cells(g, last=1) for g in gts], [cells(d, last=1) for d in dets]
    n, m = len(gts), len(dets)
    recall = [[_share(len(g & d), len(g)) for d in dets] for g in gts]
    precision = [[_share(len(g & d), len(d)) for d in dets] for g in gts]
    gone = [any(ignore[g] and precision[g][d] > 0.4 for g in range(n)) for d in range(m)]
    gt_done, det_done, earned = [False] * n, [False] * m, [0.0, 0.0]

    def good(g, d):
        return recall[g][d] >= 0.8 and precision[g][d] >= 0.4

    def touched(g):
        return sum(recall[g][d] > 0 for d in range(m) if not gone[d])

    def touching(d):
        return sum(recall[g][d] > 0 for g in range(n) if not ignore[g])

    def near(g, d):
        def centre(b):
            return b[0] + (b[2] - b[0] + 1) / 2, b[1] + (b[3] - b[1] + 1) / 2

        def diagonal(b):
            return math.hypot(b[2] - b[0] + 1, b[3] - b[1] + 1)

        a, b = corners[0][g], corners[1][d]
        return 2 * math.dist(centre(a), centre(b)) / (diagonal(a) + diagonal(b)) < 1

    for g in range(n):
        for d in range(m):
            if ignore[g] or gone[d] or gt_done[g] or det_done[d] or not good(g, d):
                continue
            if sum(good(g, j) for j in range(m)) != 1 or sum(good(i, d) for i in range(n)) != 1:
                continue
            if strict and not (touched(g) == 1 and touching(d) == 1):
                continue
            if near(g, d):
                gt_done[g] = det_done[d] = True
                earned = [earned[0] + 1, earned[1] + 1]
    for g in range(n):
        if ignore[g] or gt_done[g]:
            continue
        parts = [d for d in range(m) if not det_done[d] and not gone[d] and precision[g][d] >= 0.4]
        if round(sum(recall[g][d] for d in parts), 4) < 0.8 or (strict and touched(g) < 2):
            continue
        gt_done[g] = True
        for d in parts:
            det_done[d] = True
        single = len(parts) == 1
        earned = [
            earned[0] + (1 if single else 0.8),
            earned[1] + (1 if single else 0.8 * len(parts)),
        ]
    for d in range(m):
        if gone[d] or det_done[d]:
            continue
        parts = [g for g in range(n) if not gt_done[g] and not ignore[g] and recall[g][d] >= 0.8]
        if round(sum(precision[g][d] for g in parts), 4) < 0.4 or (strict and touching(d) < 2):
            continue
        det_done[d] = True
        for g in parts:
            gt_done[g] = True
        earned = [earned[0] + len(parts), earned[1] + 1]
    return *earned, ignore.count(False), gone.count(False)
