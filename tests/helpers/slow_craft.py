"""CRAFT's label maps a pixel at a time, and its decoding as published, a text at a time."""

import math

import cv2
import numpy as np


def gaussian_of(quad, row, column, sigma=0.6, reach=1.5):
    """Value of a parallelogram's Gaussian at a pixel of the maps of stride 2."""
    quad = np.asarray(quad, float)
    point = np.array([column + 0.5, row + 0.5]) * 2 - quad.mean(axis=0)
    right, down = (quad[1] - quad[0]) / 2, (quad[3] - quad[0]) / 2
    u, v = np.linalg.solve(np.column_stack([right, down]), point)
    return math.exp(-(u * u + v * v) / (2 * sigma**2)) if u * u + v * v <= reach**2 else 0.0


def affinity_quad(first, second):
    """Corners: the middles of the upper and the lower triangles of two boxes, as the paper says."""
    corners = []
    for quad in (first, second):
        centre = np.mean(quad, axis=0)
        corners.append([(quad[0] + quad[1] + centre) / 3, (quad[3] + quad[2] + centre) / 3])
    return np.array([corners[0][0], corners[1][0], corners[1][1], corners[0][1]])


def published_boxes(region, affinity, text_thresh=0.7, low_text=0.4, link_thresh=0.4):
    """Boxes (4, 2) in input pixels: components, dilated by a guess, and their rectangles."""
    text, link = region > low_text, affinity > link_thresh
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (text | link).astype(np.uint8), connectivity=4
    )
    boxes = []
    for k in range(1, count):
        size = stats[k, cv2.CC_STAT_AREA]
        if size < 10 or region[labels == k].max() < text_thresh:
            continue
        mask = np.zeros(region.shape, np.uint8)
        mask[labels == k] = 255
        mask[link & ~text] = 0
        x, y, w, h = stats[k, : cv2.CC_STAT_AREA]
        grow = int(2 * math.sqrt(size * min(w, h) / (w * h)))
        rows = slice(max(y - grow, 0), y + h + grow + 1)
        columns = slice(max(x - grow, 0), x + w + grow + 1)
        kernel = np.ones((1 + grow, 1 + grow), np.uint8)
        mask[rows, columns] = cv2.dilate(mask[rows, columns], kernel)
        points = np.argwhere(mask)[:, ::-1].astype(np.float32)
        boxes.append((cv2.boxPoints(cv2.minAreaRect(points)) + 0.5) * 2)
    return boxes
