"""The verbs that look into a pre-trained model, from the command line to their files."""

import json
import os
import shutil

import cv2
import numpy as np
import pytest
from helpers.fuzz_images import png_header
from helpers.inspection import saved_bert, tiny_checkpoint
from helpers.pretraining import WORDS

from vlpt_d2.cli.main import main
from vlpt_d2.data.datasets.rendered import register_rendered


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The arguments that name a tiny model."""
    config, weights = tiny_checkpoint(tmp_path_factory.mktemp("tiny"))
    return ["--config-file", config, "MODEL.WEIGHTS", weights, "NUM_THREADS", "1"]


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), np.random.RandomState(2).randint(0, 255, (48, 64, 3), np.uint8))
    return str(path)


@pytest.mark.parametrize("detail, columns", [("mean", 3), ("layer", 5), ("head", 7)])
def test_attention_draws_and_writes(model, image, tmp_path, capsys, detail, columns):
    output, arrays = tmp_path / "out" / "figure.png", tmp_path / "out" / "maps.npz"
    command = ["attention", image, "--words", "exits bar", "--output", str(output)]
    assert main([*command, "--arrays", str(arrays), "--detail", detail, *model]) == 0
    figure = cv2.imread(str(output))
    assert figure.shape[1] == columns * (192 + 8)
    assert figure.shape[0] == 3 * (192 + 18 + 8)
    table = capsys.readouterr().out
    assert [row.split()[0] for row in table.splitlines()[-5:-2]] == ["exit", "##s", "bar"]
    with np.load(arrays) as maps:
        total = maps["masked"].sum(axis=(3, 4)) + maps["masked_cls"]
    np.testing.assert_allclose(total, 1, atol=1e-5)


def test_attention_of_one_image_does_not_replace_that_of_another(
    model, image, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    other = shutil.copy(image, "other/image.png")
    for source in (image, other):
        assert main(["attention", str(source), "--words", "bar", "--detail", "mean", *model]) == 0
    assert sorted(p.name for p in tmp_path.glob("attention*")) == [
        "attention_image.png",
        "attention_image_2.png",
    ]


@pytest.mark.parametrize("verb", ["attention", "read"])
def test_the_image_is_not_replaced(verb, model, image, tmp_path, monkeypatch, capsys):
    mine = shutil.copy(image, tmp_path / "sign.png")
    before = mine.read_bytes()
    monkeypatch.chdir(tmp_path)
    os.link(mine, "same.png")
    for output in ("sign.png", "same.png"):
        assert main([verb, str(mine), "--output", output, *model]) == 2
        assert f"{output} is an input and would be overwritten" in capsys.readouterr().err
    assert mine.read_bytes() == before


def test_attention_measures_a_dataset(model, tmp_path, capsys):
    register_rendered(
        "inspected_words", "quickstart", {"word_list": ("exit", "bar", "shop")}, size=4
    )
    output = tmp_path / "numbers.json"
    assert main(["attention", "inspected_words", "--json", str(output), *model]) == 0
    results = json.loads(output.read_text())
    assert results["masked"]["words"] == results["shown"]["words"] == 8
    assert set(results["masked"]) == {
        "words", "accuracy", "shuffled", "chance", "centre", "best_place", "on_text", "reachable",
    }  # fmt: skip
    assert "best_place" in capsys.readouterr().out


def test_neighbours(model, capsys):
    assert main(["neighbours", "exits", "shop", "--top", "3", *model]) == 0
    text = capsys.readouterr().out
    assert "exits (mean of exit ##s)" in text
    assert len(text.split("\nshop\n")[1].splitlines()) == 5  # two of the head
    assert main(["neighbours", "shop", "zzz", *model]) == 2
    captured = capsys.readouterr()
    assert "no tokens for 'zzz'" in captured.err
    assert "cosine" not in captured.out
    _, config, *options = model
    assert main(["neighbours", "exits", *options, "--config-file", config]) == 0
    text = capsys.readouterr().out
    assert "exits (mean of exit ##s)" in text and "NUM_THREADS" not in text


def test_neighbours_beside_a_bert_model(model, tmp_path, capsys):
    saved_bert(tmp_path / "bert", [*WORDS[:12], "lake"])
    assert main(["neighbours", "exit", "--bert", str(tmp_path / "bert"), *model]) == 0
    text = capsys.readouterr().out
    assert "the vocabularies differ (21 and 13 tokens)" in text
    assert "among the 12 tokens that both have" in text
    rows = [line.split() for line in text.split("\nexit\n")[1].splitlines()[2:]]
    shared = set(WORDS[6:12])
    assert {row[0] for row in rows} == {row[2] for row in rows} == shared


def test_read(model, image, tmp_path, capsys):
    captions = tmp_path / "captions.txt"
    captions.write_text("exit shop\n\nbar\ntaxi hotel\n", encoding="utf-8")
    command = ["read", image, "--words-count", "2", "--top", "2", "--captions", str(captions)]
    assert main([*command, *model]) == 0
    lines = capsys.readouterr().out.splitlines()
    masks = [line for line in lines if line.startswith("mask ")]
    assert [line.split(":")[0] for line in masks] == ["mask 1", "mask 2"]
    assert masks[0].count("%") == 2
    assert "3 captions, the best first" in lines
    assert len(lines) - lines.index("3 captions, the best first") == 5
    assert main(["read", image, "--prompt", "exit [MASK]", *model]) == 0
    assert capsys.readouterr().out.count("mask ") == 1


def test_answers_are_drawn(model, image, tmp_path, capsys):
    captions = tmp_path / "captions.txt"
    captions.write_text("exit shop\nbar bar bar bar bar bar", encoding="utf-8")
    read, near = tmp_path / "new" / "read.png", tmp_path / "new" / "near.png"
    command = ["read", image, "--words-count", "2", "--captions", str(captions)]
    assert main([*command, "--output", str(read), *model]) == 0
    assert main(["neighbours", "exit", "bar", "--output", str(near), *model]) == 0
    text = capsys.readouterr().out
    assert f"written: {read}" in text and f"written: {near}" in text
    # The image, two masks and the captions; then a column of bars for each word.
    assert cv2.imread(str(read)).shape[1] > 3 * 320
    assert cv2.imread(str(near)).shape[1] == 2 * 320


@pytest.mark.parametrize("verb", ["neighbours", "read", "attention"])
def test_a_detector_is_named_as_such(verb, capsys):
    """Not by its trunk, which is not this config's either."""
    assert main([verb, "bar", "--weights", "vlpt://db_mobile", "NUM_THREADS", "1"]) == 2
    error = capsys.readouterr().err
    assert "vlpt://db_mobile holds a trunk but no text_encoder" in error
    assert "checkpoint of VLPT" in error and "MODEL.RESNETS" not in error


def test_wrong_requests(model, image, tmp_path, capsys):
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png_header(100_000, 100_000))
    for command, message in (
        (["read", image, "--captions", str(empty)], "has no captions"),
        (["read", image, "--one-by-one", "--captions", __file__], "--one-by-one is for masks"),
        (["read", image, "--output", "a.xyz"], "a.xyz: a figure cannot be written as '.xyz'"),
        (["neighbours", "bar", "--output", "a"], "a: a figure cannot be written as ''"),
        (["attention", image, "--words", "bar", "--output", "a.xyz"], "a.xyz: an image cannot be"),
        (["attention", image, "--json", "a", "--limit", "2"], "--limit, --json are for a whole"),
        (["attention", image, "--min-width", "0.5"], "--min-width is for a whole dataset"),
        (["attention", "rendered_val", "--words", "bar"], "--words is for one image"),
        (["read", str(tmp_path / "none.png")], "none.png: no such image file, nor image"),
        (["attention", "icdar2015_tset:3"], "of a dataset; did you mean 'icdar2015_test'?"),
        (["read", str(bomb)], "bomb.png: cannot be decoded (it has more than"),
        (["attention", str(bomb), "--words", "bar"], "bomb.png: cannot be decoded"),
        (["attention", image], "--words"),
        (["attention", "rendered_quickstart_val:999999"], "512 images"),
        (["neighbours", "bar", "--bert", str(tmp_path / "nobert")], "cannot be read"),
        (["read", image, "--top", "3", "TEST.PATIENCE", "-5"], "TEST.PATIENCE is -5; it must be"),
    ):
        assert main([*command, *model]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "command, message",
    [
        (["read", "a.png", "--fast"], "unrecognized arguments: --fast"),
        (["read", "a.png", "--words-count", "0"], "--words-count: 0 is not positive"),
        (["read", "a.png", "--top", "99999999"], "--top: 99999999 is too many; ask for 1 to 100"),
        (["neighbours", "bar", "--top", "0"], "--top: 0 is not positive"),
        (["neighbours", "bar", "--top", "101"], "--top: 101 is too many"),
        (["attention", "rendered_val", "--min-width", "nan"], "--min-width: nan is not from 0"),
    ],
)
def test_wrong_options(command, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(command)
    assert message in capsys.readouterr().err
