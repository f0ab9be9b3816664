"""The ICDAR2015 reader: odd lines, faults, the real files, and the registered splits."""

import logging
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from vlpt_d2.data.datasets.ground_truth import GroundTruthError
from vlpt_d2.data.datasets.icdar2015 import (
    parse_quad,
    read_icdar2015,
    read_quad_file,
    split_holdout,
)
from vlpt_d2.data.datasets.report import load_logged
from vlpt_d2.data.sample import CorruptImageError, load_sample

SQUARE = "10,20,50,20,50,40,10,40"


def _folder(root: Path, files: dict[str, bytes], size=(96, 64)) -> tuple[Path, Path]:
    images, gt = root / "images", root / "gt"
    images.mkdir()
    gt.mkdir()
    for stem, content in files.items():
        Image.new("RGB", size).save(images / f"{stem}.jpg")
        (gt / f"gt_{stem}.txt").write_bytes(content)
    return images, gt


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (f"{SQUARE},Genaxis Theatre", "Genaxis Theatre"),
        (f"{SQUARE},a,b,,c", "a,b,,c"),
        (f'{SQUARE},"We', '"We'),
        (f'{SQUARE},"x","y"', '"x","y"'),
        (f"{SQUARE},", ""),
        (f"{SQUARE}, ###", " ###"),
        (" 10, 20,50.0,20,50,40,10,4e1,é中", "é中"),
    ],
)
def test_lines(line, text):
    corners, (transcription,) = parse_quad(line)
    np.testing.assert_array_equal(corners, [[10, 20], [50, 20], [50, 40], [10, 40]])
    assert transcription == text


def test_bom_line_ends_and_separators_inside_words(tmp_path):
    path = tmp_path / "gt.txt"
    for end in ("\n", "\r\n", "\r"):
        content = f"\ufeff{SQUARE},one{end}{end}{SQUARE},t\u2028wo\x85{end}"
        path.write_bytes(content.encode("utf-8"))
        words = [(word.place, word.text) for word in read_quad_file(path)]
        assert words == [("1", "one"), ("3", "t\u2028wo\x85")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{SQUARE},ok\r\n1,2,3,4\r\n".encode(), r"gt\.txt, line 2: '1,2,3,4' has 4 fields"),
        (f"{SQUARE}\n".encode(), r"line 1: .* has 8 fields.*Correct or remove"),
        (b"1,2,3,4,5,six,7,8,word\n", r"line 1: .*six.*Correct or remove"),
        (b"1,2,3,4,5,nan,7,8,word\n", r"line 1: .*not finite"),
        (b"\xff\xfe1\x00", r"line 1: '1' has 1 fields"),  # UTF-16
        (b"1,2\x00\x00\x00", r"gt\.txt: holds null characters.*replace it"),
    ],
)
def test_malformed_files_name_place_and_remedy(tmp_path, content, message):
    path = tmp_path / "gt.txt"
    path.write_bytes(content)
    with pytest.raises(GroundTruthError, match=message):
        read_quad_file(path)


def test_dataset_dicts(tmp_path):
    files = {
        "img_10": b"",
        "img_2": f"{SQUARE},###\n".encode(),
        "img_1": f"{SQUARE},a,b\n60,10,80,10,80,30,60,30,\n{SQUARE},####\n".encode(),
    }
    dicts, report = read_icdar2015(*_folder(tmp_path, files))
    assert [Path(d["file_name"]).name for d in dicts] == ["img_1.jpg", "img_2.jpg", "img_10.jpg"]
    assert [d["image_id"] for d in dicts] == [1, 2, 3]
    assert all((d["height"], d["width"]) == (64, 96) for d in dicts)
    assert [a["text"] for a in dicts[0]["annotations"]] == ["a,b", "", "####"]
    assert [a["iscrowd"] for d in dicts for a in d["annotations"]] == [0, 0, 0, 1]
    assert dicts[0]["annotations"][0]["bbox"] == [10, 20, 50, 40]
    assert dicts[0]["annotations"][0]["segmentation"] == [[10, 20, 50, 20, 50, 40, 10, 40]]
    assert dicts[2]["annotations"] == []
    assert (report.images, report.words, report.ignored) == (3, 4, 1)
    assert not report.repaired
    assert not report.dropped


def test_faulty_polygons_are_repaired_counted_and_reported(tmp_path, caplog):
    lines = [
        f"{SQUARE},sound",
        "10,20,50,40,50,20,10,40,crossed",  # a bow-tie of the same corners
        "10,20,50,20,50,40,50,40,triangle",
        "10,20,50,20,30,20,20,20,flat",
        "5,5,5,5,5,5,5,5,point",
        "200,20,250,20,250,40,200,40,outside",
    ]
    folders = _folder(tmp_path, {"img_1": "\n".join(lines).encode()})
    (dataset_dict,), report = read_icdar2015(*folders)
    words = {a["text"]: a["segmentation"][0] for a in dataset_dict["annotations"]}
    assert list(words) == ["sound", "crossed", "triangle", "outside"]
    crossed = np.reshape(words["crossed"], (4, 2))
    assert set(map(tuple, crossed)) == {(10, 20), (50, 20), (50, 40), (10, 40)}
    assert np.abs(np.diff(crossed, axis=0, append=crossed[:1])).prod(axis=1).max() == 0  # sides
    assert len(words["triangle"]) == 6
    assert report.repaired == {"self-crossing": 1, "repeated points": 1}
    assert report.dropped == {"no area": 2}
    assert report.notes == {"words outside their image": 1}
    with caplog.at_level(logging.INFO, logger="vlpt_d2"):
        load_logged(read_icdar2015, *folders)
        load_logged(read_icdar2015, *folders)
    assert caplog.text.count("left out 2: no area (gt_img_1.txt:4, gt_img_1.txt:5)") == 1


def test_missing_folder_shows_the_expected_tree(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"(?s)nowhere.*Challenge4_Test_Task1_GT"):
        read_icdar2015(tmp_path / "nowhere", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"holds no \.jpg"):
        read_icdar2015(tmp_path, tmp_path)


def test_missing_ground_truth_and_broken_image(tmp_path):
    images, gt = _folder(tmp_path, {"img_1": b""})
    (images / "img_2.jpg").write_bytes(b"no image")
    with pytest.raises(FileNotFoundError, match=r"gt_img_2\.txt: no ground truth"):
        read_icdar2015(images, gt)
    (gt / "gt_img_2.txt").write_bytes(b"")
    with pytest.raises(CorruptImageError, match=r"img_2\.jpg"):
        read_icdar2015(images, gt)


def test_only_ignored_words_is_worth_a_warning(tmp_path, caplog):
    folders = _folder(tmp_path, {"img_1": f"{SQUARE},###".encode()})
    load_logged(read_icdar2015, *folders)
    assert "every word is ignored" in caplog.text


def test_squeezed_images_ask_for_their_size(tmp_path):
    folders = _folder(tmp_path, {"img_1": f"{SQUARE},a".encode()})
    (dataset_dict,), report = read_icdar2015(*folders, original_size=(128, 144))
    assert dataset_dict["restore_size"] == (128, 144)
    assert report.restorable == 1
    image, texts = load_sample(dataset_dict, "RGB")
    assert image.shape == (128, 144, 3)
    assert texts.bounds().tolist() == [[15, 40, 75, 80]]
    (dataset_dict,), _ = read_icdar2015(*folders, original_size=(64, 96))
    assert "restore_size" not in dataset_dict


def test_split_is_fixed_and_independent_of_order():
    dicts = [{"file_name": f"folder/img_{i}.jpg"} for i in range(1, 1001)]
    train, val = split_holdout(dicts)
    assert (len(train), len(val)) == (900, 100)
    assert {d["file_name"] for d in train}.isdisjoint(d["file_name"] for d in val)
    # Pinned: results chosen on this split stay comparable.
    first = [Path(d["file_name"]).stem for d in val[:5]]
    assert first == ["img_20", "img_29", "img_39", "img_76", "img_89"]
    again = split_holdout(dicts[::-1])[1]
    assert {d["file_name"] for d in again} == {d["file_name"] for d in val}


def test_registered_lazily(monkeypatch, tmp_path):
    names = ["icdar2015_train", "icdar2015_test", "icdar2015_trainval_train"]
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    for name in [*names, "icdar2015_trainval_val"]:
        assert MetadataCatalog.get(name).evaluator_type == "icdar2015"
        assert MetadataCatalog.get(name).thing_classes == ["text"]
        with pytest.raises(FileNotFoundError, match="expected, for ICDAR2015"):
            DatasetCatalog.get(name)


def test_real_test_set(real_icdar2015):
    dicts = DatasetCatalog.get("icdar2015_test")
    assert len(dicts) == 500
    words = [a for d in dicts for a in d["annotations"]]
    assert (len(words), sum(a["iscrowd"] for a in words)) == (5230, 3153)
    assert dicts[0]["annotations"][0]["segmentation"] == [[933, 255, 954, 255, 956, 277, 936, 277]]
    assert not any("restore_size" in d for d in dicts)


def test_real_training_set(real_icdar2015):
    parts = [DatasetCatalog.get(f"icdar2015_trainval_{part}") for part in ("train", "val")]
    assert [len(part) for part in parts] == [900, 100]
    few = [DatasetCatalog.get(f"icdar2015_trainval_train_{count}") for count in (50, 200)]
    names = [{d["file_name"] for d in part} for part in (*few, parts[0])]
    assert [len(part) for part in names] == [50, 200, 900]
    assert names[0] < names[1] < names[2]
    dicts = parts[0] + parts[1]
    words = [a for d in dicts for a in d["annotations"]]
    assert len(words) == 11886
    assert sum(a["iscrowd"] for a in words) == 7418
    squeezed = [d for d in dicts if (d["height"], d["width"]) != (720, 1280)]
    assert all(d["restore_size"] == (720, 1280) for d in squeezed)
    image, texts = load_sample(min(dicts, key=lambda d: d["image_id"]), "RGB")
    assert image.shape == (720, 1280, 3)
    # The original's first word is 377,117,463,117,465,130,378,130; the squeezed copy is rounded.
    expected = [377, 117, 463, 117, 465, 130, 378, 130]
    np.testing.assert_allclose(texts.polygons[0].ravel(), expected, atol=1.0)
