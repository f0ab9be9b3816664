"""Groups of what is linked in pairs: segments of a line, pixels of a tree, boxes along an axis."""

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def group_pairs(count: int, pairs: np.ndarray) -> np.ndarray:
    """Number the connected groups of items.

    Args:
        count: of the items.
        pairs: (P, 2) indices of items that belong together, in any order, also more than once.

    Returns:
        (count,) int32, each item's group. Groups are numbered from 0 in the order of their first
        items.
    """
    pairs = np.asarray(pairs, np.int32).reshape(-1, 2)
    links = coo_matrix((np.ones(len(pairs), bool), pairs.T), shape=(count, count))
    return connected_components(links, directed=False)[1]
