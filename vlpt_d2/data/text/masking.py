"""Whole-word masking for masked language modelling."""

import zlib

import numpy as np

from .tokenizer import Encoding

IGNORE_INDEX = -100


def mask_rng(is_train: bool, image_id: object) -> np.random.RandomState:
    """The source of randomness of one image's masks.

    Args:
        is_train: seed it from numpy's global generator, which the loader seeds for each training
            sample; else from ``image_id`` alone, so that held-out images are masked alike in
            every evaluation.
        image_id: of the dataset dict.
    """
    if is_train:
        return np.random.RandomState(np.random.randint(2**31))
    return np.random.RandomState(zlib.crc32(str(image_id).encode()))


def masking_budget(num_tokens: int, max_tokens: int, probability: float, budget: str) -> int:
    """How many tokens are selected at most in one caption.

    Args:
        num_tokens: tokens of the caption, special tokens not counted.
        max_tokens: caption length K.
        probability: share of tokens, in [0, 1].
        budget: "tokens" takes the share of the caption's own tokens; "slots" of all K, padding
            included (transformers 4.2.1, DataCollatorForWholeWordMask, which the release uses).
    """
    if budget not in ("tokens", "slots"):
        raise ValueError(f"MODEL.VLPT.MLM.BUDGET must be 'tokens' or 'slots', not {budget!r}")
    if num_tokens == 0 or probability == 0:
        return 0
    slots = num_tokens if budget == "tokens" else max_tokens
    return max(1, round(slots * probability))


def select_words(
    encoding: Encoding, probability: float, budget: str, rng: np.random.RandomState
) -> np.ndarray:
    """Select whole words in random order until the budget is used.

    A word that would exceed the budget is passed over, except that with the "tokens" budget the
    first word drawn is always selected: otherwise a caption whose words are all long would never
    be masked. With "slots", padding takes part in the draw and uses budget up, as in the release,
    so that short captions may keep all their words.

    Returns:
        ndarray: (max_tokens,) bool.
    """
    words = encoding.words
    limit = masking_budget(int((words >= 0).sum()), len(words), probability, budget)
    selected = np.zeros(len(words), dtype=bool)
    if limit == 0:
        return selected
    groups = [np.flatnonzero(words == w) for w in range(words.max() + 1)]
    if budget == "slots":
        groups += [np.array([i]) for i in np.flatnonzero(~encoding.mask)]
    used = 0
    for i in rng.permutation(len(groups)):
        size = len(groups[i])
        if used + size > limit and (used > 0 or budget == "slots"):
            continue
        selected[groups[i]] = True
        used += size
        if used >= limit:
            break
    return selected & encoding.mask


def mask_tokens(
    encoding: Encoding,
    *,
    probability: float,
    budget: str,
    mask_id: int,
    vocabulary_size: int,
    rng: np.random.RandomState,
    mask_share: float = 0.8,
    random_share: float = 0.1,
) -> tuple[np.ndarray, np.ndarray]:
    """Apply BERT's masking to one caption.

    Args:
        encoding: the caption.
        probability: share of tokens to select.
        budget: what the share is of; see :func:`masking_budget`.
        mask_share: share of the selected tokens shown as [MASK].
        random_share: share of the selected tokens shown as a uniformly drawn id.
        mask_id: id of [MASK].
        vocabulary_size: number of ids to draw from.
        rng: the source of randomness.

    Returns:
        The shown ids and the labels, both (max_tokens,) int64; labels are -100 at tokens that are
        not to be predicted.
    """
    selected = select_words(encoding, probability, budget, rng)
    labels = np.where(selected, encoding.ids, IGNORE_INDEX)
    draw = rng.random_sample(len(encoding.ids))
    shown = encoding.ids.copy()
    shown[selected & (draw < mask_share)] = mask_id
    swap = selected & (draw >= mask_share) & (draw < mask_share + random_share)
    shown[swap] = rng.randint(vocabulary_size, size=int(swap.sum()))
    return shown, labels
