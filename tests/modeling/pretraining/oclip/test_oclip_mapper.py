"""Words as characters, one of each masked, and the sample that oCLIP takes."""

import cv2
import numpy as np
import pytest
import torch
from helpers.oclip import tiny_oclip_cfg

from vlpt_d2.data.mapper import build_mapper
from vlpt_d2.modeling.pretraining.oclip.characters import (
    EOS,
    HIDDEN,
    MASK,
    PAD,
    VOCABULARY_SIZE,
    encode_words,
)


def encode(words, seed=0, shuffle=False, max_words=4, max_characters=8, hidden_share=0.0):
    return encode_words(
        words,
        max_words=max_words,
        max_characters=max_characters,
        rng=np.random.RandomState(seed),
        shuffle=shuffle,
        hidden_share=hidden_share,
    )


def decode(encoding):
    """The words and the places of their masks, by a plain loop."""
    words, places = [], []
    for row, label in zip(encoding.ids.tolist(), encoding.labels.tolist()):
        if row[0] == PAD:
            assert set(row) == {PAD} and label == -100
            continue
        end = row.index(EOS)
        assert set(row[end + 1 :]) <= {PAD} and row[:end].count(MASK) == 1
        places.append(row.index(MASK))
        row[places[-1]] = label
        words.append("".join(chr(i + 32) for i in row[:end]))
    return words, places


def test_ids_by_hand():
    """94 characters from 1, mask and end of the word as in the release; the hidden are ours."""
    assert (MASK, EOS, HIDDEN, VOCABULARY_SIZE) == (95, 96, 97, 98)
    encoding = encode(["!a~"], max_words=2, max_characters=6)
    shown = [1, ord("a") - 32, 94, 96, 0, 0]
    assert encoding.whole.tolist() == [shown, [0] * 6]
    place = shown.index(encoding.labels[0])
    shown[place] = 95
    assert encoding.ids.tolist() == [shown, [0] * 6]
    assert encoding.labels[1] == -100
    assert sum(encoding.counts.values()) == 0


def test_masks_fall_on_every_character_and_never_on_the_end():
    places = [decode(encode(["abc"], seed))[1][0] for seed in range(300)]
    assert set(places) == {0, 1, 2}
    assert min(places.count(i) for i in range(3)) > 70


def test_further_characters_are_hidden_as_often_as_asked():
    word, shown = "abcdefg", 0
    for seed in range(200):
        encoding = encode([word], seed, hidden_share=0.75)
        row, whole = encoding.ids[0].tolist(), encoding.whole[0].tolist()
        assert row[7] == EOS and row.count(MASK) == 1
        assert encoding.labels[0] == whole[row.index(MASK)] == ord(word[row.index(MASK)]) - 32
        assert all(a in (b, MASK, HIDDEN) for a, b in zip(row, whole))
        shown += sum(i == j for i, j in zip(row[:7], whole))
    assert 0.21 < shown / (6 * 200) < 0.29
    # The released share of 0 draws nothing more: masks stay where they were.
    assert encode([word], 3, hidden_share=0.0).ids.tolist() == encode([word], 3).ids.tolist()


def test_what_cannot_be_read_is_counted():
    words = ["caf\u00e9", "\u4e2d\u6587", "abcdefghij", "abcdefg", "x", "y", "z"]
    encoding = encode(words)
    assert decode(encoding)[0] == ["caf", "abcdefg", "abcdefg", "x"]
    assert encoding.counts == {
        "dropped_characters": 3,
        "skipped_words": 1,
        "cut_words": 1,
        "left_out_words": 2,
    }


def test_a_random_subset_in_training():
    words = list("abcdefghij")
    seen = [decode(encode(words, seed, shuffle=True))[0] for seed in range(60)]
    assert all(len(set(taken)) == 4 for taken in seen)
    assert set().union(*seen) == set(words)
    assert len(set(map(tuple, seen))) > 50


def test_no_room_for_a_character_is_refused():
    with pytest.raises(ValueError, match="MAX_CHARACTERS is 1"):
        encode(["a"], max_characters=1)


def annotation(text, iscrowd=0):
    ring = [0, 0, 4, 0, 4, 4, 0, 4]
    return {
        "text": text,
        "iscrowd": iscrowd,
        "bbox": [0, 0, 4, 4],
        "bbox_mode": 0,
        "segmentation": [ring],
    }


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.full((40, 60, 3), (200, 100, 50), np.uint8))
    texts = [annotation("EXIT now"), annotation("shop"), annotation("###", 1)]
    return {
        "file_name": str(path),
        "height": 40,
        "width": 60,
        "image_id": "photo",
        "annotations": texts,
    }


def mapper(is_train):
    cfg = tiny_oclip_cfg()
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.PRETRAIN.SIZE = (32, 64)
    return build_mapper(cfg, is_train)


def test_sample(photo):
    sample = mapper(is_train=False)(photo)
    assert sample["image"].shape == (3, 32, 64) and sample["image"].dtype == torch.uint8
    assert sample["image"][:, 16, 16].tolist() == [50, 100, 200]
    assert sample["caption"] == "EXIT now shop"
    assert sample["word_ids"].shape == (4, 8) and sample["word_ids"].dtype == torch.int64
    assert (sample["word_ids"] == MASK).sum() == 3
    assert not torch.isin(sample["whole_word_ids"], torch.tensor([MASK, HIDDEN])).any()
    assert (sample["character_labels"] != -100).tolist() == [True] * 3 + [False]
    assert (sample["height"], sample["width"], sample["image_id"]) == (40, 60, "photo")


def test_held_out_words_and_masks_depend_on_the_image_alone(photo):
    held_out, train = mapper(is_train=False), mapper(is_train=True)
    np.random.seed(1)
    first = held_out(photo)
    np.random.seed(2)
    again = held_out(photo)
    assert torch.equal(first["word_ids"], again["word_ids"])
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["word_ids"], held_out({**photo, "image_id": 2})["word_ids"])
    assert len({tuple(train(photo)["word_ids"].flatten().tolist()) for _ in range(20)}) > 5


def test_images_without_words(photo):
    for annotations in ([], [annotation("###", 1)], [annotation("\u4e2d")]):
        sample = mapper(is_train=True)({**photo, "annotations": annotations})
        assert (sample["word_ids"] == PAD).all()
        assert (sample["character_labels"] == -100).all()
    assert sample["word_counts"]["skipped_words"] == 1
