import cv2
import numpy as np
import pytest

from vlpt_d2.data.image_io import CorruptImageError
from vlpt_d2.data.rendering import resolve_settings
from vlpt_d2.data.rendering.backgrounds import find_photographs, make_background
from vlpt_d2.data.rendering.settings import BACKGROUND_KINDS


@pytest.mark.parametrize("kind", BACKGROUND_KINDS)
@pytest.mark.parametrize("size", [(33, 70), (160, 128)])
def test_procedural_backgrounds(kind, size):
    settings = resolve_settings("default", {"size": size, "background_kinds": (kind,)})
    images = [make_background(np.random.default_rng(seed), settings) for seed in (0, 0, 1)]
    assert images[0].shape == (*size, 3)
    assert images[0].dtype == np.uint8
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).any()
    assert (images[0].reshape(-1, 3).std(axis=0).max() == 0) == (kind == "plain")


def test_photographs_are_used_at_their_share(tmp_path):
    # A photograph of pure red: a crop of it is pure red, whatever its place and scale.
    photograph = np.zeros((90, 60, 3), np.uint8)
    photograph[..., 2] = 255
    (tmp_path / "deep").mkdir()
    cv2.imwrite(str(tmp_path / "deep" / "red.png"), photograph)
    settings = resolve_settings(
        "default", {"size": (64, 80), "backgrounds": str(tmp_path), "photographs": 0.5}
    )
    red = 0
    for seed in range(60):
        image = make_background(np.random.default_rng(seed), settings)
        assert image.shape == (64, 80, 3)
        red += bool((image == (255, 0, 0)).all())
    assert 18 <= red <= 42


def test_folder_without_photographs_and_broken_photograph(tmp_path):
    settings = resolve_settings("default", {"backgrounds": str(tmp_path), "photographs": 1.0})
    with pytest.raises(FileNotFoundError, match="no photographs"):
        make_background(np.random.default_rng(0), settings)
    broken = tmp_path / "sub"
    broken.mkdir()
    settings = resolve_settings("default", {"backgrounds": str(broken), "photographs": 1.0})
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    whole = cv2.imencode(".jpg", noise)[1].tobytes()
    for number, content in enumerate((b"no image", whole[: len(whole) // 2])):
        for path in broken.iterdir():
            path.unlink()
        (broken / f"broken{number}.jpg").write_bytes(content)
        find_photographs.cache_clear()
        with pytest.raises(CorruptImageError, match=rf"broken{number}.jpg: cannot be decoded"):
            make_background(np.random.default_rng(0), settings)


def test_real_photographs(backgrounds_root):
    settings = resolve_settings(
        "default", {"size": (96, 128), "backgrounds": str(backgrounds_root), "photographs": 1.0}
    )
    image = make_background(np.random.default_rng(0), settings)
    assert image.shape == (96, 128, 3)
    assert image.std() > 5
