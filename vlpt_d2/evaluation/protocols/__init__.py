"""Measuring protocols, one file each, as pure functions of arrays of points.

A protocol is a module with ``match_image(gt_polygons, gt_ignore, det_polygons)``,
``total(results)`` and ``PARAMETERS``, the numbers of its rules.
"""

from . import icdar2015

__all__ = ["PROTOCOLS", "icdar2015"]

# evaluator_type of a dataset -> its protocol.
PROTOCOLS = {"icdar2015": icdar2015}
