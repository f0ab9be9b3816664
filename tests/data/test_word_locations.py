"""Tokens of words and words' polygons, by hand."""

import cv2
import numpy as np
import torch
from helpers.pretraining import tiny_vlpt_cfg

from vlpt_d2.data.text.tokenizer import build_tokenizer
from vlpt_d2.data.word_locations import tokens_of_words, word_polygons
from vlpt_d2.modeling.pretraining.vlpt.mapper import PretrainMapper

SQUARE = [0, 0, 4, 0, 4, 4, 0, 4]


def tokens(tmp_path, words, max_tokens=12):
    tokenizer = build_tokenizer(tiny_vlpt_cfg(tmp_path).MODEL.TEXT_ENCODER.TOKENIZER, max_tokens)
    encoding = tokenizer.encode(" ".join(words))
    return tokens_of_words(words, encoding, tokenizer.special["unk"]).tolist()


def test_pieces_belong_to_the_annotation_they_are_of(tmp_path):
    # [CLS] exit ##s | shop open | sale [SEP], then padding
    words = ["Exits", "shop  open", "SALE"]
    assert tokens(tmp_path, words) == [-1, 0, 0, 1, 1, 2, -1, -1, -1, -1, -1, -1]


def test_words_with_unknown_pieces_have_no_tokens(tmp_path):
    # "bus-zzz" is bus, "-" and "zzz", of which the vocabulary has the first alone
    assert tokens(tmp_path, ["bus-zzz", "taxi", "zzz", "bar"], 9) == [
        -1,
        -1,
        -1,
        -1,
        1,
        -1,
        3,
        -1,
        -1,
    ]


def test_cut_captions_and_no_words(tmp_path):
    assert tokens(tmp_path, ["exits", "bar", "bus"], 5) == [-1, 0, 0, 1, -1]
    assert tokens(tmp_path, []) == [-1] * 12


def test_words_that_read_the_same_share_their_places():
    annotations = [
        {"segmentation": [[0, 0, 1, 0, 1, 1]]},
        {"segmentation": [[5, 5, 6, 5, 6, 6], [7, 7, 8, 7, 8, 8]]},
        {},
    ]
    places = word_polygons(annotations, ["The", "the", "end"])
    assert [len(rings) for rings in places] == [3, 3, 0]
    assert places[0][1].tolist() == [[5, 5], [6, 5], [6, 6]]


def test_held_out_samples_say_where_words_are(tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.zeros((40, 64, 3), np.uint8))
    words = [("exits", 0), ("hidden", 1), ("###", 0), ("bar", 0)]
    dataset_dict = {
        "file_name": str(path),
        "image_id": "photo",
        "annotations": [
            {"text": text, "iscrowd": crowd, "segmentation": [SQUARE]} for text, crowd in words
        ],
    }
    cfg = tiny_vlpt_cfg(tmp_path)
    cfg.INPUT.PRETRAIN.SIZE = (80, 32)
    sample = PretrainMapper(cfg, False)(dataset_dict)
    assert sample["token_words"].tolist() == [-1, 0, 0, 1, -1, -1, -1, -1]
    assert sample["token_words"].dtype == torch.int64
    squashed = [[0, 0], [2, 0], [2, 8], [0, 8]]  # half as wide, twice as high
    assert [[ring.tolist() for ring in rings] for rings in sample["word_polygons"]] == [
        [squashed]
    ] * 2
    assert "word_polygons" not in PretrainMapper(cfg, True)(dataset_dict)
