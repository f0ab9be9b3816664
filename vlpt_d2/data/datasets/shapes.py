"""Shapes of labelling tools as polygons: rotated boxes, circles and masks."""

from __future__ import annotations

import math

import cv2
import numpy as np

__all__ = ["circle_ring", "mask_outline", "rotate_points"]

# Corners of the polygon that a circle becomes: at a radius of 100 pixels it is half a pixel off.
_CIRCLE_CORNERS = 32


def rotate_points(points: np.ndarray, degrees: float) -> np.ndarray:
    """Turn (N, 2) points clockwise as seen on the image about the centre of their box."""
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (points - centre) @ np.array([[cos, sin], [-sin, cos]]) + centre


def circle_ring(centre: np.ndarray, border: np.ndarray) -> np.ndarray:
    """The circle through a point around another, as (32, 2) points clockwise on the image."""
    angles = np.arange(_CIRCLE_CORNERS) * (2 * np.pi / _CIRCLE_CORNERS)
    radius = float(np.hypot(*(border - centre)))
    with np.errstate(invalid="ignore"):  # what is not finite is found with the polygon
        return centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def mask_outline(mask: np.ndarray) -> np.ndarray:
    """The largest outer outline of a mask.

    Args:
        mask: (H, W) uint8, zero where nothing is.

    Returns:
        (N, 2) float64 points of the mask's border pixels; (0, 2) for an empty mask.
    """
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not outlines:
        return np.zeros((0, 2))
    return max(outlines, key=cv2.contourArea).reshape(-1, 2).astype(np.float64)
