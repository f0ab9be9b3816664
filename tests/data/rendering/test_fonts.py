import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from vlpt_d2.data.rendering.blocks import set_block
from vlpt_d2.data.rendering.fonts import draw_word, find_fonts


def _font(name="DejaVuSans"):
    return find_fonts(("matplotlib",), (name,))[0]


def test_matplotlib_fonts_are_found_and_sorted():
    names = [font.name for font in find_fonts(("matplotlib",))]
    assert names == sorted(names, key=lambda name: f"{name}.ttf")
    assert {"DejaVuSans", "DejaVuSerif-Bold", "STIXGeneral"} <= set(names)
    # Fonts of mathematics have other signs in the letters' places.
    assert not any(name.startswith(("cm", "STIXSiz", "LastResort")) for name in names)


def test_word_is_where_pillow_draws_it():
    face = _font().face(20.0)
    mask, left, top = draw_word(face, "Typo")
    canvas = Image.new("L", (200, 100))
    again = ImageFont.truetype(face.path, face.size, layout_engine=ImageFont.Layout.BASIC)
    ImageDraw.Draw(canvas).text((50, 60), "Typo", fill=255, font=again, anchor="ls")
    expected = np.zeros((100, 200), np.uint8)
    expected[60 + top :, 50 + left :][: mask.shape[0], : mask.shape[1]] = mask
    np.testing.assert_array_equal(expected, np.asarray(canvas))
    for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]):
        assert edge.any()


def test_invisible_word_is_refused():
    with pytest.raises(ValueError, match="draws nothing"):
        draw_word(_font().face(20.0), " ")


def test_cap_height_is_met_within_the_size_steps():
    font = _font()
    for height in (8.0, 21.0, 50.0):
        mask, _, _ = draw_word(font.face(height), "H")
        assert abs(mask.shape[0] - height) <= 0.07 * height + 1


def test_boxes_of_a_block_are_disjoint_and_hold_all_ink():
    lines = [["Apply", "jog", "'s"], ["A"], ["QUAY", "(why)"]]
    block = set_block(lines, _font("DejaVuSans-Oblique"), np.array([24.0, 15.0, 24.0]), 0.5, 0.0)
    assert block.words == ("Apply", "jog", "'s", "A", "QUAY", "(why)")
    height, width = block.mask.shape
    covered = np.zeros_like(block.mask)
    for x0, y0, x1, y1 in (block.boxes + np.array([width, height] * 2) / 2).astype(int):
        ink = block.mask[y0:y1, x0:x1]
        for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1]):
            assert edge.any()
        covered[y0:y1, x0:x1] += 1
    assert covered.max() == 1
    assert not block.mask[covered == 0].any()


def test_folder_of_fonts_and_its_absence(tmp_path):
    with pytest.raises(FileNotFoundError, match="check the render setting fonts"):
        find_fonts((str(tmp_path),))
    (tmp_path / "deep").mkdir()
    shutil.copy(_font().path, tmp_path / "deep" / "Mine.ttf")
    (tmp_path / "Broken.ttf").write_bytes(b"no font")
    assert [font.name for font in find_fonts((str(tmp_path), str(tmp_path / "deep")))] == ["Mine"]
