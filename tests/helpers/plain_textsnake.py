"""TextSnake's published decoding, step by step: centralise, stride, slide a disk."""

import cv2
import numpy as np

from vlpt_d2.modeling.detection.textsnake.decode import STRIDE


def plain_snakes(text, centre, geometry, stride=STRIDE, text_thresh=0.4, centre_thresh=0.6):
    """Axes (points, radii) of all centre lines of 8 pixels and more, and outlines of their disks.

    In pixels of the input, as the paper's section 3.3 and princewang1994/TextSnake.pytorch have it:
    masks as large as the map, one point after the other.
    """
    geometry = geometry / np.float32([stride, 1, 1])[:, None, None]
    line = (text > text_thresh) & (centre > centre_thresh)
    count, regions = cv2.connectedComponents(line.astype(np.uint8))
    axes, outlines = [], []
    for number in range(1, count):
        mask = regions == number
        if mask.sum() < 8:
            continue
        pixels = np.argwhere(mask)[:, ::-1]
        start = _centralised(pixels[len(pixels) // 2].astype(float), mask, geometry)
        axis = _strides(start, 1, mask, geometry)[::-1] + _strides(start, -1, mask, geometry)[1:]
        radii = [_at(geometry[0], point) for point in axis]
        disks = np.zeros(text.shape, np.uint8)
        for (x, y), radius in zip(axis, radii):
            cv2.circle(disks, (round(x), round(y)), round(radius), 1, -1)
        if (disks * (text > text_thresh)).sum() < 0.5 * disks.sum():
            continue
        contours, _ = cv2.findContours(disks, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        axes.append(((np.array(axis) + 0.5) * stride, np.array(radii) * stride))
        outlines.append((max(contours, key=cv2.contourArea)[:, 0] + 0.5) * stride)
    return axes, outlines


def _at(values, point):
    column, row = np.rint(point).astype(int)
    return float(values[row, column])


def _within(mask, point):
    column, row = np.rint(point).astype(int)
    return 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1] and mask[row, column]


def _direction(geometry, point):
    way = np.array([_at(geometry[1], point), _at(geometry[2], point)])
    return way / max(np.linalg.norm(way), 1e-6)


def _centralised(point, mask, geometry):
    """Half-way between the two places where the normal leaves the centre line."""
    x, y = _direction(geometry, point)
    ends = []
    for normal in (np.array([-y, x]), np.array([y, -x])):
        end = point
        while _within(mask, end + 0.5 * normal):
            end = end + 0.5 * normal
        ends.append(end)
    return (ends[0] + ends[1]) / 2


def _strides(point, sign, mask, geometry, most=200):
    """The points from one point to an end, the first one included."""
    points = [point]
    while len(points) < most:
        step = 0.5 * _at(geometry[0], points[-1])
        way = sign * _direction(geometry, points[-1])
        while step > 0.5 and not _within(mask, points[-1] + step * way):
            step /= 2
        if step <= 0.5:
            break
        points.append(_centralised(points[-1] + step * way, mask, geometry))
    return points
