"""Maps of networks in their first epochs, for the timings of the decoders."""

import logging

import cv2
import numpy as np
import torch
from detectron2.modeling import build_model

from vlpt_d2.engine import load_config
from vlpt_d2.modeling.detection import TextHead


def speckled(
    rng: np.random.Generator, size: tuple[int, int], specks: int, connectivity: int = 8
) -> tuple[np.ndarray, int]:
    """A map of probabilities above 0.9 in about so many specks of any shape, else below 0.1.

    Args:
        rng: draws blurred noise; the specks are what lies above some level of it.
        size: (H, W) of the map.
        specks: wanted; where the map cannot hold so many, as many as it holds.
        connectivity: 4 or 8, of the specks.

    Returns:
        (H, W) float32, and the number of specks.
    """
    noise = cv2.GaussianBlur(rng.random(size, np.float32), (0, 0), 0.6)
    best = (0, None)
    for share in (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3):
        above = noise > np.quantile(noise, 1 - share)
        count = cv2.connectedComponents(above.view(np.uint8), connectivity=connectivity)[0] - 1
        if count > best[0]:
            best = (count, above)
        if count >= specks:
            break
    values = 0.1 * rng.random(size, np.float32)
    return np.where(best[1], 1 - values, values), best[0]


def untrained(
    config: str, size: tuple[int, int], opts: tuple = ()
) -> tuple[TextHead, dict[str, torch.Tensor]]:
    """A head of random weights, and the maps that its detector predicts on a random image.

    Norms use the image's own statistics, as in the first training step, so that maps vary.

    Args:
        config: a detector's, which needs no weights.
        size: (H, W) of the image, multiples of 32.
        opts: "KEY value" pairs on top of the config.
    """
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    norms = ("MODEL.RESNETS.NORM", "BN", "MODEL.TEXT_HEAD.NORM", "BN", "MODEL.WEIGHTS", "")
    model = build_model(load_config(config, [*norms, *opts])).train()
    noise = np.random.default_rng(0).random((*size, 3), np.float32)
    image = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (1, 4, 16))
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    pixels = model.normalise(torch.from_numpy(image).permute(2, 0, 1))
    head = model.text_head
    with torch.no_grad():
        features = model.backbone(pixels[None])
        maps = head.predict(head.neck([features[name] for name in head.in_features]))
    return head.eval(), {name: value[0] for name, value in maps.items()}
