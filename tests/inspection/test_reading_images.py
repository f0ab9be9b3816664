"""Guesses for masks and ranked captions, beside single passes of the model."""

import cv2
import numpy as np
import pytest
import torch
from helpers.inspection import tiny_inspected
from helpers.pretraining import WORDS

from vlpt_d2.engine import ConfigError
from vlpt_d2.inspection import fill_masks, rank_captions


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return tiny_inspected(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def picture(loaded, tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "noise.png"
    cv2.imwrite(str(path), np.random.RandomState(1).randint(0, 255, (64, 64, 3), np.uint8))
    return loaded.read(str(path))


def encode(loaded, picture, ids):
    ids = torch.tensor(ids)
    sample = {
        "image": picture.pixels,
        "input_ids": ids,
        "original_ids": ids,
        "attention_mask": ids != 0,
        "mlm_labels": torch.zeros_like(ids),
        "word_index": torch.full_like(ids, -1),
    }
    return loaded.model.encode([sample])


def odds(loaded, picture, ids):
    with torch.no_grad():
        return loaded.mlm.logits(encode(loaded, picture, ids)).softmax(dim=1).numpy()


def test_probabilities_are_ordered_and_sum_to_one(loaded, picture):
    guesses = fill_masks(loaded, picture, "exits[MASK] [MASK]", top=len(WORDS))
    expected = odds(loaded, picture, [2, 5, 6, 4, 4, 3, 0, 0])
    for place, guess in zip((3, 4), guesses, strict=True):
        words, probabilities = zip(*guess)
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert list(probabilities) == sorted(probabilities, reverse=True)
        assert sorted(words) == sorted(WORDS)
        for word, probability in guess:
            assert probability == pytest.approx(expected[place, WORDS.index(word)], rel=1e-3)
    short = fill_masks(loaded, picture, "exits [MASK] [MASK]", top=2)
    assert short == [guess[:2] for guess in guesses]


def test_one_by_one_asks_again_with_the_surest_filled_in(loaded, picture):
    together = odds(loaded, picture, [2, 4, 4, 3, 0, 0, 0, 0])
    first = 1 if together[1].max() > together[2].max() else 2
    ids = [2, 4, 4, 3, 0, 0, 0, 0]
    ids[first] = int(together[first].argmax())
    then = odds(loaded, picture, ids)
    guesses = fill_masks(loaded, picture, "[MASK] [MASK]", top=1, one_by_one=True)
    assert [word for word, _ in guesses[first - 1]] == [WORDS[ids[first]]]
    ((word, probability),) = guesses[2 - first]
    assert probability == pytest.approx(then[3 - first].max(), rel=1e-3)
    assert word == WORDS[then[3 - first].argmax()]


def test_a_guess_of_padding_does_not_shorten_the_caption(loaded, picture, monkeypatch):
    lengths = []

    def padding(encoded):
        lengths.append(int(encoded.tokens.attention_mask.sum()))
        values = torch.zeros(int(encoded.tokens.masked.sum()), len(WORDS))
        values[:, WORDS.index("[PAD]")] = 9.0
        return values

    monkeypatch.setattr(loaded.mlm, "logits", padding)
    guesses = fill_masks(loaded, picture, "[MASK] [MASK]", top=1, one_by_one=True)
    assert [[word for word, _ in guess] for guess in guesses] == [["[PAD]"]] * 2
    assert lengths == [4, 4]  # [CLS], both masks, [SEP]


def test_wrong_prompts(loaded, picture):
    for prompt, message in (
        ("exit", r"no \[MASK\]"),
        ("zzz [MASK]", "no tokens for 'zzz'"),
        ("[MASK] " * 7, "makes 7 tokens; the model reads 6"),
    ):
        with pytest.raises(ValueError, match=message):
            fill_masks(loaded, picture, prompt)


def test_captions_are_ranked_by_the_cosine_of_single_passes(loaded, picture):
    captions = {"exit shop": [2, 5, 7, 3], "bar": [2, 12, 3], "taxi hotel": [2, 11, 13, 3]}
    cosines = {}
    for caption, ids in captions.items():
        encoded = encode(loaded, picture, ids + [0] * (8 - len(ids)))
        with torch.no_grad():
            image = loaded.itc.image_projection(encoded.image[0, 0])
            text = loaded.itc.text_projection(encoded.text[0, 0])
        cosines[caption] = float(image @ text / image.norm() / text.norm())
    ranked = rank_captions(loaded, picture, list(captions))
    names = [list(captions)[i] for i, _, _ in ranked]
    assert names == sorted(cosines, key=cosines.get, reverse=True)
    assert [c for _, c, _ in ranked] == pytest.approx([cosines[n] for n in names], abs=1e-4)
    scaled = np.exp([loaded.itc.scale().item() * cosines[n] for n in names])
    assert [p for _, _, p in ranked] == pytest.approx((scaled / scaled.sum()).tolist(), rel=1e-2)
    with pytest.raises(ValueError, match="no caption"):
        rank_captions(loaded, picture, [])
    with pytest.raises(ValueError, match="caption 2, 'exit zzz': .* no tokens for 'zzz'"):
        rank_captions(loaded, picture, ["bar", "exit zzz"])
    with pytest.raises(ValueError, match="caption 1, .*make 7 tokens; the model reads 6"):
        rank_captions(loaded, picture, ["exits exits exits bar"])


def test_images_of_datasets_and_files(loaded, tmp_path):
    picture = loaded.read("rendered_quickstart_val:2")
    assert picture.pixels.shape == (3, 64, 64)
    assert len(picture.words) == len(picture.polygons) == 2
    with pytest.raises(ValueError, match="has 512 images"):
        loaded.read("rendered_quickstart_val:512")
    with pytest.raises(FileNotFoundError, match="no such image"):
        loaded.read(str(tmp_path / "none.png"))


def test_ranking_needs_the_contrast(tmp_path):
    loaded = tiny_inspected(tmp_path, MODEL__VLPT__TASKS=["MLM"])
    with pytest.raises(ConfigError, match="built without ITC"):
        rank_captions(loaded, loaded.read("rendered_quickstart_val:2"), ["bar"])
