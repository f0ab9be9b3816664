"""Colours: random ones for surfaces, and colours of text that stand out from a background."""

import colorsys

import numpy as np

__all__ = ["contrasting_colour", "lightness", "random_colour"]

# Luma weights of ITU-R BT.601.
_LUMA = np.array([0.299, 0.587, 0.114])


def lightness(colour: np.ndarray) -> float:
    """Return the luma of an RGB colour of [0, 255], in [0, 1]."""
    return float(np.dot(np.asarray(colour, np.float64), _LUMA) / 255)


def _from_hls(hue: float, light: float, saturation: float) -> np.ndarray:
    return np.array(colorsys.hls_to_rgb(hue % 1.0, light, saturation)) * 255


def random_colour(rng: np.random.Generator) -> np.ndarray:
    """Return a (3,) float RGB colour as surfaces have them: any hue, mostly muted."""
    return _from_hls(rng.random(), rng.uniform(0.08, 0.95), rng.beta(1.2, 2.5))


def contrasting_colour(
    rng: np.random.Generator, background: np.ndarray, contrast: float
) -> np.ndarray:
    """Return a colour whose lightness differs from the background's by at least ``contrast``.

    Its hue is neutral, that of the background, close to it, opposite to it, or free: the usual
    schemes of colour harmony.

    Args:
        rng: source of randomness.
        background: (3,) mean RGB colour, [0, 255].
        contrast: smallest difference of luma, [0, 1]; no colour can promise more than the
            distance to the farther of black and white, which is then returned.
    """
    base = lightness(background)
    hue = colorsys.rgb_to_hls(*np.clip(background / 255, 0, 1))[0]
    scheme = rng.random()
    saturation = rng.uniform(0.5, 1.0)
    if scheme < 0.45:
        saturation = rng.uniform(0.0, 0.12)
    elif scheme < 0.6:
        hue += rng.normal(0, 0.05)
    elif scheme < 0.75:
        hue += 0.5 + rng.normal(0, 0.05)
    else:
        hue = rng.random()
    room_below, room_above = base - contrast, 1 - contrast - base
    if room_below <= 0 and room_above <= 0:
        return np.full(3, 0.0 if base > 0.5 else 255.0)
    below = rng.random() * (max(room_below, 0) + max(room_above, 0)) < max(room_below, 0)
    target = rng.uniform(0, room_below) if below else rng.uniform(base + contrast, 1)
    colour = _from_hls(hue, 0.5, saturation)
    # Towards black or white until the luma is right.
    luma = lightness(colour)
    if luma >= target:
        return colour * (target / max(luma, 1e-6))
    return colour + (255 - colour) * ((target - luma) / max(1 - luma, 1e-6))
