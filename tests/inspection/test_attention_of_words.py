"""Attention of shown and masked words beside single forward passes; pointing over a dataset."""

import cv2
import numpy as np
import pytest
import torch
from helpers.inspection import tiny_checkpoint, tiny_inspected
from helpers.real_images import icdar2015_dicts
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from vlpt_d2.checkpoint import CheckpointError, TextCheckpointer
from vlpt_d2.engine import ConfigError, TextTrainer, load_config
from vlpt_d2.inspection import attend, load_for_inspection, measure_pointing
from vlpt_d2.inspection import pointing as pointing_module
from vlpt_d2.inspection.pointing import windows_of_words
from vlpt_d2.modeling.attention_maps import recorded_attention
from vlpt_d2.modeling.pretraining.pointing import peak_of
from vlpt_d2.structures import TextInstances


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return tiny_inspected(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def picture(loaded, tmp_path):
    rng = np.random.RandomState(0)
    path = tmp_path / "noise.png"
    cv2.imwrite(str(path), rng.randint(0, 255, (50, 80, 3), np.uint8))
    return loaded.read(str(path))


def one_pass(loaded, picture, ids):
    """Attention (layers, heads, K, 1 + S) and MLM odds (K, V) of one caption."""
    ids = torch.tensor([ids])
    sample = {
        "image": picture.pixels,
        "input_ids": ids[0],
        "original_ids": ids[0],
        "attention_mask": ids[0] != 0,
        "mlm_labels": torch.zeros_like(ids[0]),
        "word_index": torch.full_like(ids[0], -1),
    }
    with torch.no_grad():
        encoded = loaded.model.encode([sample])
        encoder = loaded.mlm.cross_encoder
        with recorded_attention(encoder.cross_attentions) as maps:
            odds = loaded.mlm.logits(encoded).softmax(dim=1)
    return torch.cat(maps).numpy(), odds.numpy()


def test_maps_are_those_of_single_passes(loaded, picture):
    maps = attend(loaded, picture, ["exits", "bar"])
    # [CLS] exit ##s bar [SEP]
    ids = [2, 5, 6, 12, 3, 0, 0, 0]
    assert maps.tokens.tolist() == ["exit", "##s", "bar"]
    assert maps.words.tolist() == [0, 0, 1]
    assert maps.shown.shape == maps.masked.shape == (2, 2, 3, 4, 4)
    shown, _ = one_pass(loaded, picture, ids)
    first, first_odds = one_pass(loaded, picture, [2, 4, 4, 12, 3, 0, 0, 0])
    second, second_odds = one_pass(loaded, picture, [2, 5, 6, 4, 3, 0, 0, 0])
    masked = np.stack([first[:, :, 1], first[:, :, 2], second[:, :, 3]], axis=2)
    for places, cls, expected in (
        (maps.shown, maps.shown_cls, shown[:, :, 1:4]),
        (maps.masked, maps.masked_cls, masked),
    ):
        np.testing.assert_allclose(places.reshape(2, 2, 3, 16), expected[..., 1:], atol=1e-6)
        np.testing.assert_allclose(cls, expected[..., 0], atol=1e-6)
        np.testing.assert_allclose(places.sum(axis=(3, 4)) + cls, 1, atol=1e-5)
    odds = [first_odds[1, 5], first_odds[2, 6], second_odds[3, 12]]
    np.testing.assert_allclose(maps.probability, odds, rtol=1e-4)
    assert not np.allclose(maps.shown, maps.masked, atol=1e-4)


def test_arrays_come_back_from_their_file(loaded, picture, tmp_path):
    maps = attend(loaded, picture, ["shop"])
    maps.save(tmp_path / "maps.npz")
    with np.load(tmp_path / "maps.npz") as arrays:
        assert set(arrays) == {
            "tokens", "words", "shown", "shown_cls", "masked", "masked_cls", "probability", "image",
            "centre",
        }  # fmt: skip
        assert arrays["tokens"].tolist() == ["shop"]
        np.testing.assert_array_equal(arrays["masked"], maps.masked)
        assert arrays["image"].shape == (64, 64, 3)


def test_evaluation_collects_the_same_attention(loaded, picture):
    maps = attend(loaded, picture, ["exits", "bar"])
    ids = torch.tensor([2, 5, 6, 12, 3, 0, 0, 0])
    sample = {
        "image": picture.pixels,
        "input_ids": ids,
        "original_ids": ids,
        "attention_mask": ids != 0,
        "mlm_labels": torch.full_like(ids, -100),
        "word_index": torch.tensor([-1, 0, 0, 1, -1, -1, -1, -1]),
    }
    with torch.no_grad():
        first, second = loaded.model([sample, {**sample, "image": 255 - sample["image"]}])
    np.testing.assert_allclose(first["attention"][:, 1:4], maps.shown.mean(axis=1), atol=1e-5)
    torch.testing.assert_close(second["shuffled_attention"], first["attention"])


def test_words_that_cannot_be_asked_for(loaded, picture):
    with pytest.raises(ValueError, match="no tokens for 'zzz'"):
        attend(loaded, picture, ["bar", "zzz"])
    with pytest.raises(ValueError, match="make 7 tokens; the model reads 6"):
        attend(loaded, picture, ["exits", "exits", "exits", "bar"])
    with pytest.raises(ValueError, match="no words"):
        attend(loaded, picture, [])


def test_the_model_of_the_zoo_finds_the_words_of_a_sign(tmp_path):
    # In a font and a case that its training images do not have.
    image = Image.new("RGB", (128, 128), (200, 190, 160))
    font = ImageFont.truetype(font_manager.findfont("DejaVu Serif"), 26)
    for word, top in (("COFFEE", 16), ("House", 80)):
        ImageDraw.Draw(image).text((12, top), word, (20, 20, 40), font)
    image.save(tmp_path / "sign.png")
    loaded = load_for_inspection(opts=["NUM_THREADS", "1", "MODEL.DEVICE", "cpu"])
    maps = attend(loaded, loaded.read(str(tmp_path / "sign.png")), ["coffee", "house"])
    for number, top in enumerate((16, 80)):
        x, y = peak_of(maps.masked[:, :, number].mean(axis=(0, 1)), (128, 128), maps.centre)
        assert 12 < 128 * x < 116 and top < 128 * y < top + 32


def test_models_that_cannot_be_looked_into(tmp_path):
    config, weights = tiny_checkpoint(tmp_path)
    with pytest.raises(ConfigError, match="only a VLPT model"):
        load_for_inspection("quickstart/db_rendered.yaml")
    with pytest.raises(ConfigError, match="built without MLM"):
        _ = load_for_inspection(config, ["MODEL.VLPT.TASKS", "['WIP']"], weights).mlm
    loaded = load_for_inspection(config, [], weights)
    TextCheckpointer(loaded.model.backbone.bottom_up, str(tmp_path)).save("trunk")
    trunk = torch.load(tmp_path / "trunk.pth")
    names = {f"backbone.bottom_up.{k}": v for k, v in trunk["model"].items()}
    torch.save({"model": names}, tmp_path / "trunk.pth")
    with pytest.raises(CheckpointError, match="trunk but no text_encoder"):
        load_for_inspection(config, [], str(tmp_path / "trunk.pth"))


def test_without_weights_a_model_is_as_its_training_begins(tmp_path):
    config, _ = tiny_checkpoint(tmp_path)
    options = ["NUM_THREADS", "1", "SEED", "3", "MODEL.WEIGHTS", ""]
    ours = load_for_inspection(config, options).model.state_dict()
    theirs = TextTrainer.build_model(load_config(config, options)).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    others = load_for_inspection(config, [*options, "SEED", "4"]).model.state_dict()
    name = "text_encoder.word_embeddings.weight"
    assert not torch.equal(ours[name], others[name])


def test_models_with_regions_are_looked_into_alike():
    loaded = load_for_inspection("transfer/pretrain_regions_R_50_half.yaml", ["NUM_THREADS", "1"])
    maps = attend(loaded, loaded.read("rendered_quickstart_val:0"), ["open", "sale"])
    total = maps.shown.sum(axis=(3, 4)) + maps.shown_cls
    np.testing.assert_allclose(total, 1, atol=1e-5)


def test_a_model_without_cross_attention_is_refused(tmp_path):
    blind = tiny_inspected(tmp_path, MODEL__CROSS_ENCODER__CROSS_ATTENTION=False)
    cv2.imwrite(str(tmp_path / "noise.png"), np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="never attends"):
        attend(blind, blind.read(str(tmp_path / "noise.png")), ["bar"])


def word(text, x0, y0, x1, y1):
    return {
        "text": text,
        "iscrowd": 0,
        "bbox": [x0, y0, x1, y1],
        "bbox_mode": 0,
        "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
    }


@pytest.fixture
def dicts(tmp_path):
    """Two images of 64 x 64, so that nothing is resized."""
    words = [
        [word("bar", 0, 0, 32, 16), word("zzz", 0, 48, 64, 64), word("shop", 48, 16, 64, 32)],
        [word("taxi", 0, 48, 64, 64)],
    ]
    items = []
    for i, annotations in enumerate(words):
        path = tmp_path / f"{i}.png"
        cv2.imwrite(str(path), np.full((64, 64, 3), 60 * i, np.uint8))
        items.append({"file_name": str(path), "image_id": i, "annotations": annotations})
    return items


def test_accuracy_over_a_dataset_of_a_model_with_known_peaks(loaded, dicts, monkeypatch):
    """Masked words are looked for at their place, shown ones at the top left."""

    def known(_, encoded):
        ids = encoded.tokens.original_ids
        masked = encoded.tokens.masked
        maps = torch.full((2, len(ids), 2, ids.shape[1], 17), 0.01)
        cells = {12: 0, 7: 7, 11: 13}  # bar, shop, taxi
        for row, place in np.ndindex(tuple(ids.shape)):
            cell = cells.get(int(ids[row, place]), 15) if masked[row, place] else 0
            maps[:, row, :, place, 1 + cell] = 0.5
        return maps, None

    monkeypatch.setattr(pointing_module, "cross_attention", known)
    results = measure_pointing(loaded, dicts)
    assert {k: part["words"] for k, part in results.items()} == {"masked": 3, "shown": 3}
    assert results["masked"]["accuracy"] == 100
    assert results["shown"]["accuracy"] == pytest.approx(100 / 3)
    assert results["masked"]["chance"] == pytest.approx(100 * (1 / 8 + 1 / 16 + 1 / 4) / 3)
    wide = measure_pointing(loaded, dicts, min_width=0.5)
    assert wide["masked"]["words"] == 2


def test_windows_hold_their_word_at_a_random_place():
    annotations = [
        word("bar", 200, 100, 260, 123.5),
        word("shop", 262, 100, 300, 123.5),
        word("low", 20, 20, 60, 30),
    ]
    texts = TextInstances.from_annotations(annotations)
    image = np.zeros((300, 500, 3), np.uint8)
    image[100:123, 200:260] = 255
    corners = set()
    for seed in range(6):
        rng = np.random.RandomState(seed)
        views = list(windows_of_words(image, texts, rng))
        assert len(views) == 2  # the low one is passed over
        view, inside, target = views[0]
        assert view.shape == (100, 100, 3)  # 23.5 / 0.235
        assert inside.words[target] == "bar"
        x0, y0, x1, y1 = np.round(inside.bounds()[target]).astype(int)
        assert x0 >= 0 and y0 >= 0 and x1 <= 100 and y1 <= 100
        assert view[y0 + 1 : y1 - 2, x0 + 1 : x1 - 1].min() == 255
        assert view[:y0].max(initial=0) == 0
        corners.add((x0, y0))
    assert len(corners) > 3


def test_words_of_real_images_can_be_measured(loaded, icdar2015_root):
    dicts = icdar2015_dicts(icdar2015_root, range(6))
    for item in dicts:
        for annotation in item["annotations"]:
            annotation["text"] = annotation["text"] and "bar"  # a word that the tiny model has
    for crops in (False, True):
        masked = measure_pointing(loaded, dicts, crops=crops)["masked"]
        assert masked["words"] > 5
        assert 0 < masked["chance"] < 100
        assert masked["reachable"] <= 100
