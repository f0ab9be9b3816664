"""Where text goes: maps from a block's own plane into the image, straight or along an arc.

Coordinates are continuous, (x, y) in pixels: pixel (row i, column j) covers [j, j+1] x [i, i+1],
as in detectron2. A block's own plane has its origin in the middle of the block.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

__all__ = ["Warp", "draw_warp"]

# Largest distance, in pixels, between an arc and the chords that stand for it in a polygon.
_CHORD_ERROR = 0.2

# Length, in heights of a capital, from which on a block gets the full perspective.
_LONG_BLOCK = 6.0


@dataclass(frozen=True)
class Warp:
    """An invertible map of a block's plane: bend along an arc, then a homography."""

    # (3, 3) homography from the (bent) plane to the image.
    matrix: np.ndarray
    # Radius of the baseline's arc, in units of the plane; 0: straight. Positive: arched like a
    # rainbow; negative: like a bowl.
    radius: float = 0.0

    def forward(self, points: np.ndarray) -> np.ndarray:
        """Map (N, 2) points of the plane to (N, 2) points of the image."""
        points = np.asarray(points, np.float64)
        if self.radius:
            r = self.radius
            angle = points[:, 0] / r
            distance = r - points[:, 1]
            points = np.stack([distance * np.sin(angle), r - distance * np.cos(angle)], axis=1)
        return _project(self.matrix, points)

    def inverse(self, points: np.ndarray) -> np.ndarray:
        """Map (N, 2) points of the image to (N, 2) points of the plane."""
        points = _project(np.linalg.inv(self.matrix), np.asarray(points, np.float64))
        if self.radius:
            r = self.radius
            sign = np.sign(r)
            x, y = points[:, 0] * sign, (r - points[:, 1]) * sign
            points = np.stack([np.arctan2(x, y) * r, r - sign * np.hypot(x, y)], axis=1)
        return points

    def moved(self, dx: float, dy: float) -> "Warp":
        """Return this map followed by a translation."""
        return replace(self, matrix=_translation(dx, dy) @ self.matrix)

    def polygon(self, box: np.ndarray) -> np.ndarray:
        """Map an upright rectangle of the plane to a polygon of the image.

        Args:
            box: x0, y0, x1, y1 with y pointing down.

        Returns:
            (N, 2) float64, clockwise on the screen from the text's top left: 4 points where the
            baseline is straight, else as many above as below, chords closer than 0.2 px to the arc.
        """
        x0, y0, x1, y1 = box
        count = 2
        if self.radius:
            reach = abs(self.radius) + max(abs(y0), abs(y1))
            scale = np.sqrt(abs(np.linalg.det(self.matrix[:2, :2])))
            step = 2 * np.arccos(max(1 - _CHORD_ERROR / (reach * scale), 0.5))
            count = max(int(np.ceil((x1 - x0) / abs(self.radius) / step)) + 1, 3)
        xs = np.linspace(x0, x1, count)
        above = np.stack([xs, np.full(count, y0)], axis=1)
        below = np.stack([xs[::-1], np.full(count, y1)], axis=1)
        return self.forward(np.concatenate([above, below]))

    def quads(self, boxes: np.ndarray) -> np.ndarray:
        """Map (C, 4) upright rectangles to (C, 4, 2) corners, clockwise from the top left."""
        corners = np.asarray(boxes, np.float64)[:, [0, 1, 2, 1, 2, 3, 0, 3]]
        return self.forward(corners.reshape(-1, 2)).reshape(-1, 4, 2)

    def warp_mask(self, mask: np.ndarray, left: int, top: int, width: int, height: int):
        """Draw a block's mask into a window of the image.

        Args:
            mask: (h, w) uint8; its middle is the origin of the plane.
            left, top, width, height: the window, in pixels.

        Returns:
            (height, width) uint8.
        """
        rows, columns = mask.shape
        if not self.radius:
            # OpenCV's coordinates name pixel centres.
            matrix = (
                _translation(-left - 0.5, -top - 0.5)
                @ self.matrix
                @ _translation(0.5 - columns / 2, 0.5 - rows / 2)
            )
            return cv2.warpPerspective(mask, matrix, (width, height), flags=cv2.INTER_LINEAR)
        xs, ys = np.meshgrid(
            np.arange(left, left + width) + 0.5, np.arange(top, top + height) + 0.5
        )
        points = self.inverse(np.stack([xs.ravel(), ys.ravel()], axis=1))
        points += (columns / 2 - 0.5, rows / 2 - 0.5)
        maps = points.astype(np.float32).reshape(height, width, 2)
        # Its stubs leave out that the second map may be None.
        return cv2.remap(mask, maps, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]


def draw_warp(
    rng: np.random.Generator,
    block_size: tuple[float, float],
    cap_height: float,
    scale: float,
    *,
    rotation: float,
    perspective: float,
    shear: float,
    stretch: tuple[float, float],
    arc: float = 0.0,
) -> Warp:
    """Draw a random map around the image's origin.

    Args:
        rng: source of randomness.
        block_size: (height, width) of the block in its plane.
        cap_height: height of a capital in its plane.
        scale: pixels of the image for a unit of the plane.
        rotation: standard deviation in degrees; angles stay within 3 of them.
        perspective: largest change of depth from the block's middle to a side, as a share.
        shear: largest horizontal shear.
        stretch: range of the horizontal stretch.
        arc: angle in radians the baseline's arc spans, signed; 0: straight.
    """
    height, width = block_size
    radius = 0.0
    if arc:
        # An arc no tighter than twice the block's height keeps the map injective and legible.
        radius = np.sign(arc) * max(width / abs(arc), 2.0 * height)
    angle = np.radians(np.clip(rng.normal(0, rotation), -3 * rotation, 3 * rotation))
    # Depth changes with distance along a surface: short blocks change little.
    tilt_x, tilt_y = rng.uniform(-perspective, perspective, 2) * min(
        width / (_LONG_BLOCK * cap_height), 1.0
    )
    # The bent plane is taller than the block; the sum of both tilts stays below 1 there too.
    extent_x = width / 2
    extent_y = max(height / 2, width / 4)
    plane = np.array(
        [
            [scale * rng.uniform(*stretch), scale * rng.uniform(-shear, shear), 0.0],
            [0.0, scale, 0.0],
            [tilt_x / extent_x, 0.5 * tilt_y / extent_y, 1.0],
        ]
    )
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return Warp(turn @ plane, float(radius))


def _translation(dx: float, dy: float) -> np.ndarray:
    return np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]])


def _project(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    return mapped[:, :2] / mapped[:, 2:]
