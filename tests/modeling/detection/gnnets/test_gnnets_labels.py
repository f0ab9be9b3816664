"""GNNets' target maps and branches against closed forms, cell by cell, and hand-drawn cases."""

import math

import numpy as np
import pytest
import torch

from vlpt_d2.modeling.detection.gnnets.branches import (
    HALF_RANGE,
    branch_targets,
    in_image,
    turn,
    turn_back,
)
from vlpt_d2.modeling.detection.gnnets.decode import size_ranges
from vlpt_d2.modeling.detection.gnnets.labels import draw_gnnets_labels
from vlpt_d2.structures import TextInstances

SIZE = (149, 203)
# Angles of the texts of each branch, in degrees; learnt up to 5 degrees beyond.
RANGES = {"O": (0, 45), "O_f": (-45, 0), "O_r": (-90, -45), "O_rf": (45, 90)}


def turned(centre, size, degrees):
    """Corners of a rectangle, from its top left on, turned clockwise on screen, (4, 2)."""
    w, h = size
    corners = np.array([(-w, -h), (w, -h), (w, h), (-w, h)]) / 2
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return corners @ np.array([(cos, sin), (-sin, cos)]) + centre


def branches_of(maps, stride):
    """Which branches learn each text cell, (4, h, w) bool."""
    geometry = torch.from_numpy(maps[f"geometry_{stride}"])[None]
    inside = branch_targets(geometry, size_ranges(40)[stride == 8])[0][:, 0].numpy()
    return inside & (maps[f"text_{stride}"] > 0)


@pytest.mark.parametrize("degrees", [0, 3, 30, 44, 47, 80, 88, -88, -60, -43, -2, 135])
@pytest.mark.parametrize("size", [(70, 20), (120, 36), (160, 90)])
def test_cells_equal_the_closed_form(size, degrees):
    """A cell is text if it is in the rectangle less 0.3 of the short side all around."""
    centre, (width, height) = np.array([101.3, 72.6]), size
    maps = draw_gnnets_labels(TextInstances([turned(centre, size, degrees)]), SIZE)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    orientations = [
        any(low - 5 <= degrees + half_turn <= high + 5 for half_turn in (-180, 0, 180))
        for low, high in RANGES.values()
    ]
    for stride, least, most in ((4, 0, 48), (8, 100 / 3, math.inf)):
        names = ("text", "text_mask", "geometry")
        text, mask, geometry = (maps[f"{name}_{stride}"] for name in names)
        assert text.shape == (-(-SIZE[0] // stride), -(-SIZE[1] // stride))
        x, y = ((np.mgrid[: text.shape[0], : text.shape[1]] + 0.5) * stride)[::-1] - centre[
            :, None, None
        ]
        left, top = cos * x + sin * y + width / 2, cos * y - sin * x + height / 2
        distances = np.stack([top, width - left, height - top, left])
        depth = distances.min(axis=0)
        sure = (abs(depth) > 1e-3) & (abs(depth - 0.3 * height) > 1e-3)
        small = stride == 8 and height < least
        np.testing.assert_array_equal(mask[sure], ~((depth > 0) & small)[sure])
        np.testing.assert_array_equal(text[sure], ((depth > 0.3 * height) & (not small))[sure])
        cells = text > 0
        assert (cells.sum() > 5) != small and not geometry[:, ~cells].any()
        angle = (degrees + 90) % 180 - 90
        wanted = distances if angle == degrees else distances[[2, 3, 0, 1]]
        np.testing.assert_allclose(geometry[:4, cells] * stride / 4, wanted[:, cells], atol=2e-3)
        np.testing.assert_allclose(np.degrees(geometry[4, cells]), angle, atol=1e-3)
        fits = least <= height <= most
        for inside, learnt in zip(branches_of(maps, stride), orientations, strict=True):
            np.testing.assert_array_equal(inside, cells & (fits and learnt))


@pytest.mark.parametrize("branch, name", enumerate(RANGES))
@pytest.mark.parametrize("share", [-0.1, 0.1, 0.5, 0.9, 1.1])
def test_a_branch_sees_its_texts_at_angles_from_0_to_45_degrees(branch, name, share):
    """Labels of the turned text, turned back, are the labels of the text."""
    low, high = RANGES[name]
    degrees = low + share * (high - low)
    height, width = 96, 128
    ring = turned((60, 50), (80, 24), degrees)
    maps = draw_gnnets_labels(TextInstances([ring]), (height, width))
    there = {
        "O": ring,
        "O_f": ring * (1, -1) + (0, height),
        "O_r": ring[:, ::-1] * (-1, 1) + (height, 0),
        "O_rf": -ring[:, ::-1] + (height, width),
    }[name]
    size = (height, width) if branch < 2 else (width, height)
    seen = draw_gnnets_labels(TextInstances([there]), size)
    text = turn(torch.from_numpy(maps["text_4"]), branch)
    np.testing.assert_array_equal(text, seen["text_4"])
    geometry = torch.from_numpy(seen["geometry_4"])
    # As the branch predicts it: from the middle of the range.
    geometry[4] -= HALF_RANGE
    found = in_image(torch.stack([turn_back(geometry, b)[None] for b in (branch,) * 4]))
    inside, targets = branch_targets(torch.from_numpy(maps["geometry_4"])[None], (0, 48))
    cells = torch.from_numpy(maps["text_4"]) > 0
    angles = np.degrees(seen["geometry_4"][4][seen["text_4"] > 0]) + 22.5
    np.testing.assert_allclose(angles, 45 * (share if branch % 2 == 0 else 1 - share), atol=1e-3)
    assert cells.sum() > 10 and inside[branch, 0][cells].all()
    torch.testing.assert_close(
        found[branch, 0][:, cells], targets[branch, 0][:, cells], atol=1e-4, rtol=1e-4
    )


def test_turns_are_those_of_numpy():
    x = torch.rand(2, 3, 5)
    array = x.numpy()
    clockwise = np.rot90(array, -1, axes=(1, 2))
    wanted = [array, array[:, ::-1], clockwise, clockwise[:, ::-1]]
    for branch, expected in enumerate(wanted):
        np.testing.assert_array_equal(turn(x, branch), expected)
        torch.testing.assert_close(turn_back(turn(x, branch), branch), x, rtol=0, atol=0)


def test_hand_drawn_large_word():
    """100 x 50 at (16, 16): at half size 50 x 25 at (8, 8), corners moved in by 7.5."""
    word = np.array([(16, 16), (116, 16), (116, 66), (16, 66)], float)
    maps = draw_gnnets_labels(TextInstances([word]), (80, 128))
    expected = np.zeros((10, 16), int)
    # Centres at 2, 6, 10, ...: columns within [15.5, 50.5], rows within [15.5, 25.5].
    expected[4:6, 4:13] = 1
    np.testing.assert_array_equal(maps["text_8"], expected)
    # The cell at (18, 18) of the image at half size.
    np.testing.assert_allclose(maps["geometry_8"][:, 4, 4], [10, 40, 15, 10, 0], atol=1e-5)
    # 50 is more than 48: at full size nobody learns it.
    assert maps["text_4"].any() and not branches_of(maps, 4).any()
    assert branches_of(maps, 8)[:2][:, expected > 0].all() and not branches_of(maps, 8)[2:].any()


def test_vertical_words_are_those_of_the_upright_branches():
    """Lines that are read down or up; stacked characters are read to the right."""
    down, up, stacked = turned((40, 60), (90, 20), 89), turned((90, 60), (90, 20), -89), None
    stacked = turned((150, 60), (20, 90), 1)
    maps = draw_gnnets_labels(TextInstances([down, up, stacked]), SIZE)
    inside = branches_of(maps, 4)
    cells = maps["text_4"] > 0
    columns = np.arange(cells.shape[1]) * 4
    for start, end, wanted in ((20, 65, [2, 3]), (65, 120, [2, 3]), (120, 180, [0, 1])):
        part = cells & (columns >= start) & (columns < end)
        assert part.any()
        assert np.flatnonzero(inside[:, part].all(axis=1)).tolist() == wanted
        assert np.flatnonzero(inside[:, part].any(axis=1)).tolist() == wanted


@pytest.mark.parametrize("ignore", [True, False], ids=["ignored", "too small"])
def test_what_is_not_learnt_is_masked_at_both_sizes(ignore):
    ring = turned((90, 70), (120, 60) if ignore else (90, 9), 10)
    maps = draw_gnnets_labels(TextInstances([ring], [ignore]), SIZE)
    for stride in (4, 8):
        assert not maps[f"text_{stride}"].any() and not maps[f"geometry_{stride}"].any()
        share = (maps[f"text_mask_{stride}"] == 0).sum() * stride**2 / (7200 if ignore else 810)
        assert share == pytest.approx(1, abs=0.1 if ignore else 0.5)


def test_overlapping_cut_and_degenerate_texts():
    """The smaller of two has the cells; what is cut by the border ends there."""
    large, small = turned((90, 70), (150, 60), 0), turned((90, 70), (40, 36), 0)
    maps = draw_gnnets_labels(TextInstances([small, large]), SIZE)
    np.testing.assert_allclose(maps["geometry_8"][:, 8, 11], [8, 11, 10, 9, 0], atol=3)
    height = maps["geometry_8"][0] + maps["geometry_8"][2]
    assert set(np.unique(height.round(3))) == {0, 18, 30}
    cut = TextInstances([turned((0, 75), (100, 24), 0)]).cut(SIZE, 0.4)
    maps = draw_gnnets_labels(cut, SIZE)
    cells = maps["text_4"] > 0
    assert cells.any() and np.ptp(maps["geometry_4"][[1, 3]].sum(axis=0)[cells]) < 1e-3
    np.testing.assert_allclose(maps["geometry_4"][[1, 3]].sum(axis=0)[cells], 50, atol=1e-3)
    pixel = np.array([(50, 20), (51, 20), (51, 21), (50, 21)], float)
    outside = turned((300, 300), (60, 20), 0)
    for texts in ([pixel], [outside], [np.zeros((0, 2))], []):
        maps = draw_gnnets_labels(TextInstances(texts), SIZE)
        assert not maps["text_4"].any() and not maps["text_8"].any()
        masked = sum(int((maps[f"text_mask_{s}"] == 0).sum()) for s in (4, 8))
        assert masked <= 2
        assert all(np.isfinite(values).all() for values in maps.values())
