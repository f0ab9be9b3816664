"""Captions to ids, beside transformers' own BERT tokenizer."""

import numpy as np
import pytest
from helpers.pretraining import tiny_vlpt_cfg
from transformers import BertTokenizerFast

from vlpt_d2.data.text.tokenizer import DEFAULT_VOCABULARY, build_tokenizer, words_of_tokens

CAPTIONS = [
    "EXIT Genaxis Theatre [06]",
    "",
    "unaffable, don't; naïve CAFÉ 24/7!",
    "日本 tokyo",
    "a " * 60,
]


@pytest.mark.parametrize("caption", CAPTIONS)
def test_ids_equal_those_of_transformers(caption):
    vocabulary = {w: i for i, w in enumerate(DEFAULT_VOCABULARY.read_text().splitlines())}
    reference = BertTokenizerFast(vocab=vocabulary)
    expected = reference(caption, padding="max_length", truncation=True, max_length=30)
    encoding = build_tokenizer("", 30).encode(caption)
    assert encoding.ids.tolist() == expected["input_ids"]
    assert encoding.mask.tolist() == [bool(m) for m in expected["attention_mask"]]


def test_words_group_continuation_pieces():
    tokenizer = build_tokenizer("", 12)
    encoding = tokenizer.encode("unaffable exit")
    assert tokenizer.tokens(encoding.ids)[:7] == [
        "[CLS]", "una", "##ffa", "##ble", "exit", "[SEP]", "[PAD]",
    ]  # fmt: skip
    assert encoding.words.tolist() == [-1, 0, 0, 0, 1] + [-1] * 7


def test_caption_is_cut_to_max_tokens():
    encoding = build_tokenizer("", 5).encode("one two three four five")
    assert encoding.mask.all()
    assert (encoding.words >= 0).sum() == 3


def test_vocabulary_file_is_read(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "exit", "##s"]))
    tokenizer = build_tokenizer(str(path), 6)
    assert tokenizer.vocabulary_size == 7
    assert tokenizer.encode("exits nowhere").ids.tolist() == [2, 5, 6, 1, 3, 0]


def test_tokenizer_folder_is_read(tmp_path):
    vocabulary = {w: i for i, w in enumerate(DEFAULT_VOCABULARY.read_text().splitlines())}
    BertTokenizerFast(vocab=vocabulary).save_pretrained(tmp_path)
    ours, shipped = build_tokenizer(str(tmp_path), 20), build_tokenizer("", 20)
    for caption in CAPTIONS:
        np.testing.assert_array_equal(ours.encode(caption).ids, shipped.encode(caption).ids)
    assert ours.special == shipped.special


def test_vocabulary_without_special_tokens_is_refused(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("a\nb\n")
    with pytest.raises(ValueError, match=r"vocab.txt: the vocabulary lacks \[CLS\]"):
        build_tokenizer(str(path), 6)


def test_too_short_captions_are_refused():
    with pytest.raises(ValueError, match="MAX_TOKENS is 2"):
        build_tokenizer("", 2)


def test_sign_words_are_those_of_the_quickstart_corpus():
    from vlpt_d2.data.rendering.settings import PRESETS

    words = PRESETS["quickstart"].word_list
    tokenizer = build_tokenizer("sign_words", 80)
    encoding = tokenizer.encode(" ".join(words).upper())
    assert tokenizer.tokens(encoding.ids[1 : len(words) + 1]) == list(words)
    assert tokenizer.vocabulary_size == len(words) + len(tokenizer.special_ids)


def test_frequent_tokens_spell_every_word():
    tokenizer = build_tokenizer("frequent", 30)
    tokens = tokenizer.tokens(range(tokenizer.vocabulary_size))
    assert len(set(tokens)) == len(tokens) == 8000
    whole = build_tokenizer("", 30)
    ids = np.array([whole.tokenizer.token_to_id(token) for token in tokens])
    # After the special tokens and characters the most frequent come first, as in the whole.
    assert (np.diff(ids[-7000:]) > 0).all() and ids.max() < 10_000
    unknown = tokenizer.special["unk"]
    words = ["the", "Station", "xqzjvwk", "3.50", "e-mail", "50%", *map(chr, range(33, 127))]
    assert not any(unknown in tokenizer.pieces(word) for word in words)


def numbers(tmp_path, words, max_tokens=12):
    tokenizer = build_tokenizer(tiny_vlpt_cfg(tmp_path).MODEL.TEXT_ENCODER.TOKENIZER, max_tokens)
    return words_of_tokens(words, tokenizer.encode(" ".join(words))).tolist()


def test_pieces_belong_to_the_annotation_they_are_of(tmp_path):
    # [CLS] exit ##s | shop open | sale [SEP], then padding
    words = ["Exits", "shop  open", "SALE"]
    assert numbers(tmp_path, words) == [-1, 0, 0, 1, 1, 2, -1, -1, -1, -1, -1, -1]


def test_cut_captions_and_no_words(tmp_path):
    assert numbers(tmp_path, ["exits", "bar", "bus"], 5) == [-1, 0, 0, 1, -1]
    assert numbers(tmp_path, []) == [-1] * 12
