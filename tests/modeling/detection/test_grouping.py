"""Groups of pairs against the union-find that walks them one by one."""

import numpy as np

from vlpt_d2.modeling.detection.grouping import group_pairs


def union_find(count, pairs):
    parent = list(range(count))

    def root(i):
        while parent[i] != i:
            i = parent[i]
        return i

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    roots = [root(i) for i in range(count)]
    names = {r: n for n, r in enumerate(dict.fromkeys(roots))}
    return [names[r] for r in roots]


def test_groups_are_those_of_union_find():
    rng = np.random.default_rng(0)
    for count, links in ((1, 0), (7, 3), (50, 30), (50, 200)):
        pairs = rng.integers(0, count, (links, 2))
        assert group_pairs(count, pairs).tolist() == union_find(count, pairs.tolist())


def test_no_items_and_a_long_chain():
    assert group_pairs(0, np.zeros((0, 2))).shape == (0,)
    chain = np.column_stack([np.arange(1, 5000), np.arange(4999)])
    assert not group_pairs(5000, chain).any()
