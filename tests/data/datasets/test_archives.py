"""Archives unpacked into the trees that readers expect."""

import errno
import hashlib
import io
import json
import os
import random
import runpy
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from detectron2.data import DatasetCatalog
from helpers.miniatures import MINIATURES

from vlpt_d2.data.datasets import archives
from vlpt_d2.data.datasets.archives import ArchiveError, prepare_dataset
from vlpt_d2.data.datasets.builtin import DATASETS

SCRIPT = Path(__file__).resolve().parents[3] / "datasets/prepare.py"
# Dataset -> archive -> folder of the miniature that it holds, and where that lies inside, as in
# the published archives.
LAYOUTS = {
    "icdar2013": {
        "Challenge2_Training_Task12_Images.zip": ("Challenge2_Training_Task12_Images", ""),
        "Challenge2_Training_Task1_GT.zip": ("Challenge2_Training_Task1_GT", ""),
        "Challenge2_Test_Task12_Images.zip": ("Challenge2_Test_Task12_Images", ""),
        "Challenge2_Test_Task1_GT.zip": ("Challenge2_Test_Task1_GT", ""),
    },
    "icdar2015": {
        "ch4_training_images.zip": ("ch4_training_images", ""),
        "ch4_training_localization_transcription_gt.zip": (
            "ch4_training_localization_transcription_gt",
            "",
        ),
        "ch4_test_images.zip": ("ch4_test_images", ""),
        "Challenge4_Test_Task1_GT.zip": ("Challenge4_Test_Task1_GT", ""),
    },
    "icdar2017_mlt": {
        "ch8_training_images_3.zip": ("ch8_training_images", ""),
        "ch8_training_localization_transcription_gt_v2.zip": (
            "ch8_training_localization_transcription_gt_v2",
            "",
        ),
        "ch8_validation_images.zip": ("ch8_validation_images", ""),
        "ch8_validation_localization_transcription_gt_v2.zip": (
            "ch8_validation_localization_transcription_gt_v2",
            "",
        ),
        "ch8_test_images.zip": ("ch8_test_images", ""),
    },
    "icdar2019_mlt": {
        "ImagesPart1.zip": ("ImagesPart1", "ImagesPart1/"),
        "ImagesPart2.zip": ("ImagesPart2", "ImagesPart2/"),
        "train_gt_t13.zip": ("train_gt_t13", ""),
        "MLT19_TestImagesPart1.zip": ("TestImagesPart1", "TestImagesPart1/"),
        "MLT19_TestImagesPart2.zip": ("TestImagesPart2", "TestImagesPart2/"),
    },
    "icdar2019_art": {
        "train_images.tar.gz": ("train_images", "train_images/"),
        "train_labels.json": ("train_labels.json", ""),
        "test_part1_images.tar.gz": ("test_images", "test_part1_images/"),
    },
    "lsvt": {
        "train_full_images_0.tar.gz": ("train_full_images_0", "train_full_images_0/"),
        "train_full_images_1.tar.gz": ("train_full_images_1", "train_full_images_1/"),
        "train_full_labels.json": ("train_full_labels.json", ""),
    },
    "msra_td500": {"MSRA-TD500.zip": ("", "MSRA-TD500/")},
    "hust_tr400": {"HUST-TR400.zip": ("", "HUST-TR400/")},
    "total_text": {
        "totaltext.zip": ("Images", "Images/"),
        "groundtruth_text.zip": ("Groundtruth", "Groundtruth/"),
    },
    "ctw1500": {
        "ctw1500_train_images.zip": ("train/text_image", "train_images/"),
        "ctw1500_train_labels.zip": ("train/ctw1500_train_labels", "ctw1500_train_labels/"),
        "test_images.zip": ("test/text_image", "test_images/"),
        "gt_ctw1500.zip": ("test/gt_ctw1500", ""),
    },
    "textocr": {
        "train_val_images.zip": ("train_images", "train_images/"),
        "test_images.zip": ("test_images", "test_images/"),
        **{
            f"TextOCR_0.1_{s}.json": (f"TextOCR_0.1_{s}.json", "") for s in ("train", "val", "test")
        },
    },
    "coco_text": {
        "train2014.zip": ("train2014", "train2014/"),
        "cocotext.v2.zip": ("cocotext.v2.json", ""),
    },
    "synthtext": {"SynthText.zip": ("", "SynthText/")},
}


def pack(path, source, inside):
    """Write a folder's files, or one file, below a prefix, with the litter that zips carry."""
    path.parent.mkdir(parents=True, exist_ok=True)
    single = source.is_file()
    files = [source] if single else sorted(p for p in source.rglob("*") if p.is_file())
    names = [inside + (source.name if single else str(p.relative_to(source))) for p in files]
    if path.suffix == ".json":
        path.write_bytes(source.read_bytes())
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, file in zip(names, files):
                archive.write(file, name)
                archive.writestr(f"__MACOSX/{name}", b"litter")
            archive.writestr(f"{inside}readme.pdf", b"litter")
    else:
        with tarfile.open(path, "w:gz") as archive:
            for name, file in zip(names, files):
                archive.add(file, name)


@pytest.fixture
def downloads(tmp_path):
    """Make the downloads of a dataset; return them, the original tree and an empty root."""

    def make(dataset):
        original = tmp_path / "original"
        for name in MINIATURES:
            if name.rpartition("_")[0] == dataset:
                MINIATURES[name](original)
        for archive, (folder, inside) in LAYOUTS[dataset].items():
            pack(tmp_path / "downloads" / archive, original / dataset / folder, inside)
        return tmp_path / "downloads", original / dataset, tmp_path / "root"

    return make


def files_of(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != "prepared.json" and p.parent.name != "index"
    }


def test_every_dataset_that_can_be_is_unpacked():
    assert set(LAYOUTS) == {name for name, dataset in DATASETS.items() if dataset.archives}


@pytest.mark.parametrize("dataset", sorted(LAYOUTS))
def test_archives_become_the_tree(downloads, dataset, monkeypatch):
    source, original, root = downloads(dataset)
    unpacked, missing = prepare_dataset(dataset, source, root, check=False)
    expected = files_of(original)
    assert files_of(root / dataset) == expected
    assert sum(unpacked.values()) == len(expected)
    names = {n for a in DATASETS[dataset].archives for n in (a.name, *a.other_names)}
    assert set(LAYOUTS[dataset]) <= names
    assert len(unpacked) + len(missing) == len(DATASETS[dataset].archives)
    if dataset == "synthtext":
        return
    monkeypatch.setenv("DETECTRON2_DATASETS", str(root))
    assert len(DatasetCatalog.get(f"{dataset}_train")) >= 2


def test_known_names_are_well_formed():
    for rows in (dataset.archives for dataset in DATASETS.values()):
        assert len({a.name for a in rows}) == len(rows)
        for archive in rows:
            assert all(len(c) in (32, 64) and int(c, 16) >= 0 for c in archive.checksums)


def test_checksums_are_compared(downloads, monkeypatch):
    source, _, root = downloads("icdar2015")
    path = source / "ch4_test_images.zip"
    with pytest.raises(ArchiveError, match=r"ch4_training_images\.zip: its md5 is .*--no-checksum"):
        prepare_dataset("icdar2015", source, root)
    assert not files_of(root / "icdar2015")
    content = path.read_bytes()
    for checksum in (hashlib.md5(content).hexdigest(), hashlib.sha256(content).hexdigest()):
        rows = [a for a in DATASETS["icdar2015"].archives if a.name == path.name]
        row = replace(rows[0], checksums=("0" * 32, checksum))
        monkeypatch.setitem(DATASETS, "icdar2015", replace(DATASETS["icdar2015"], archives=(row,)))
        assert prepare_dataset("icdar2015", source, root / checksum)[0] == {path.name: 20}


class Stop(Exception):
    pass


def test_interrupted_run_goes_on(downloads, monkeypatch):
    source, original, root = downloads("msra_td500")
    calls = []

    def progress(name, done, total):
        calls.append((name, done, total))
        if len(calls) == 5:
            raise Stop

    with pytest.raises(Stop):
        prepare_dataset("msra_td500", source, root, progress=progress)
    assert all(0 < done <= total for _, done, total in calls)
    assert 0 < len(files_of(root / "msra_td500")) < 8
    before = {p: p.stat().st_mtime_ns for p in (root / "msra_td500").rglob("*") if p.is_file()}
    for _ in range(2):
        assert prepare_dataset("msra_td500", source, root) == ({"MSRA-TD500.zip": 8}, [])
    assert files_of(root / "msra_td500") == files_of(original)
    assert all(p.stat().st_mtime_ns == time for p, time in before.items())


def test_archives_that_come_later_are_added(downloads):
    source, original, root = downloads("total_text")
    late = source / "groundtruth_text.zip"
    late.rename(source / "later")
    unpacked, missing = prepare_dataset("total_text", source, root, check=False)
    assert list(unpacked) == ["totaltext.zip"]
    assert missing == ["groundtruth_text.zip", "txt_format.zip"]
    (source / "later").rename(late)
    assert prepare_dataset("total_text", source, root, check=False)[1] == ["txt_format.zip"]
    assert files_of(root / "total_text") == files_of(original)


def test_paths_cannot_leave_the_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "HUST-TR400.zip", "w") as archive:
        for name in ("../../evil.jpg", "/etc/evil2.gt", "..\\evil3.gt", ".hidden.jpg"):
            archive.writestr(name, b"x")
    prepare_dataset("hust_tr400", tmp_path, tmp_path / "root")
    assert set(files_of(tmp_path / "root")) == {
        "hust_tr400/evil.jpg", "hust_tr400/evil2.gt", "hust_tr400/evil3.gt",
    }  # fmt: skip


def test_what_cannot_be_used_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none of the archives of lsvt is there: train_f"):
        prepare_dataset("lsvt", tmp_path, tmp_path / "root")
    path = tmp_path / "MSRA-TD500.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train/IMG_1.JPG", bytes(5000))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(bytes(5000), bytes(4999) + b"1"))
    with pytest.raises(ArchiveError, match=r"MSRA-TD500\.zip: is damaged"):
        prepare_dataset("msra_td500", tmp_path, tmp_path / "root")
    path.write_bytes(whole[:300])
    with pytest.raises(ArchiveError, match=r"MSRA-TD500\.zip: is damaged"):
        prepare_dataset("msra_td500", tmp_path, tmp_path / "root")
    assert not list((tmp_path / "root").rglob("*.JPG"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", b"x")
    with pytest.raises(ArchiveError, match="holds none of the files"):
        prepare_dataset("msra_td500", tmp_path, tmp_path / "root")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("train_images/gt_1.jpg"))
    (tmp_path / "train_images.tar.gz").write_bytes(packed.getvalue()[:40])
    with pytest.raises(ArchiveError, match=r"train_images\.tar\.gz: is damaged"):
        prepare_dataset("icdar2019_art", tmp_path, tmp_path / "root")


def test_script(downloads, monkeypatch, capsys):
    source, _, root = downloads("msra_td500")
    command = [str(SCRIPT), "msra_td500", "--archives", str(source), "--root", str(root)]
    for options, status in (([], 0), (["--archives", str(root)], 2)):
        monkeypatch.setattr(sys, "argv", [*command, *options])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        assert end.value.code == status
    captured = capsys.readouterr()
    assert "MSRA-TD500.zip: 8 files in " in captured.out
    assert "next: vlpt-d2 data check msra_td500_train" in captured.out
    assert "prepare.py: error: " in captured.err
    assert "none of the archives" in captured.err


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "downloads").mkdir()
    return tmp_path / "downloads", tmp_path / "root"


def zip_of(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def tar_of(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content.encode(), "train_images/gt_0.jpg"
                archive.addfile(info)
    return path


def noise(count, size=1000):
    rng = random.Random(0)
    return [(f"train_images/gt_{i}.jpg", rng.randbytes(size)) for i in range(count)]


def unpack(folders, dataset):
    return prepare_dataset(dataset, *folders, check=False)[0]


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz", "w"])
def test_damage_anywhere_in_a_tar_file_is_told(folders, mode):
    """A damaged header looks like the archive's end to tarfile, which says nothing."""
    path = folders[0] / "train_images.tar.gz"
    content = tar_of(path, noise(40), mode).read_bytes()
    for share in (0.1, 0.3, 0.5, 0.9):
        data = bytearray(content)
        # Without a checksum of everything, headers are all that can be checked.
        place = 1536 * int(share * 40) if mode == "w" else int(share * len(data))
        data[place] ^= 0x55
        path.write_bytes(data)
        with pytest.raises(ArchiveError, match=r"train_images\.tar\.gz: is damaged .*again"):
            unpack(folders, "icdar2019_art")
        assert not (folders[1] / "icdar2019_art/prepared.json").exists()
    for cut in (len(content) // 3, 1536 * 40 if mode == "w" else len(content) - 3):
        path.write_bytes(content[:cut])
        with pytest.raises(ArchiveError, match=r"train_images\.tar\.gz: is damaged"):
            unpack(folders, "icdar2019_art")
    path.write_bytes(content)
    assert unpack(folders, "icdar2019_art") == {"train_images.tar.gz": 40}
    assert len(files_of(folders[1])) == 40


def test_tar_files_hold_nothing_after_their_end(folders):
    path = tar_of(folders[0] / "train_images.tar.gz", noise(3), "w")
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(ArchiveError, match="is damaged .data after its end"):
        unpack(folders, "icdar2019_art")


@pytest.mark.parametrize("kind", ["1", "2", "3"])
def test_links_and_devices_are_not_made(folders, kind):
    """Hard links, symbolic links, devices."""
    members = [*noise(1), ("train_images/gt_1.jpg", kind), ("train_images/readme", kind)]
    tar_of(folders[0] / "train_images.tar.gz", members)
    with pytest.raises(ArchiveError, match=r"gt_1\.jpg': is a link or a device"):
        unpack(folders, "icdar2019_art")
    tar_of(folders[0] / "train_images.tar.gz", [members[0], members[2]])
    assert unpack(folders, "icdar2019_art") == {"train_images.tar.gz": 1}


def test_long_headers_are_not_read_into_memory(folders):
    path = folders[0] / "train_images.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("train_images/gt_0.jpg")
        info.pax_headers = {"comment": "x" * 2_000_000}
        archive.addfile(info)
    with pytest.raises(ArchiveError, match="a header of 2000"):
        unpack(folders, "icdar2019_art")


def encrypted(content):
    data = bytearray(content)
    data[6] |= 1
    data[data.find(b"PK\1\2") + 8] |= 1
    return data


def of_method(content, method):
    data = bytearray(content)
    data[8] = data[data.find(b"PK\1\2") + 10] = method
    return data


@pytest.mark.parametrize("method", [8, 12, 14, 99])
def test_zip_files_of_every_method(folders, method):
    path, content = folders[0] / "ch4_test_images.zip", random.Random(1).randbytes(5000) * 2
    known = method if method != 99 else zipfile.ZIP_STORED
    data = zip_of(path, [("img_1.jpg", content)], known).read_bytes()
    if method == 99:
        path.write_bytes(of_method(data, 99))
        with pytest.raises(ArchiveError, match=r"ch4_test_images\.zip: .*method is not supported"):
            unpack(folders, "icdar2015")
        return
    path.write_bytes(data[:300] + bytes(60) + data[360:])
    with pytest.raises(ArchiveError, match=r"ch4_test_images\.zip: is damaged"):
        unpack(folders, "icdar2015")
    assert not list(folders[1].rglob("*.part"))
    path.write_bytes(data)
    assert unpack(folders, "icdar2015") == {path.name: 1}
    assert list(files_of(folders[1]).values()) == [content]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a" * 300 + ".jpg", "its name is too long"),
        ("img\n1.jpg", "its name has control characters"),
        ("a\x1b[31m.jpg", "its name has control characters"),
    ],
)
def test_names_that_no_file_has(folders, name, message):
    zip_of(folders[0] / "ch4_test_images.zip", [(name, b"x")])
    with pytest.raises(ArchiveError, match=message):
        unpack(folders, "icdar2015")
    tar_of(folders[0] / "train_images.tar.gz", [(name, b"x")])
    with pytest.raises(ArchiveError, match=message):
        unpack(folders, "icdar2019_art")


def test_members_without_a_name_are_left_out(folders):
    path = zip_of(folders[0] / "ch4_test_images.zip", [("img_1.jpg", b"x"), ("notes", b"x")])
    data = bytearray(path.read_bytes())
    entry = data.rfind(b"PK\1\2")
    data[entry + 28] = 0  # the name's length, and the name's bytes as the length of a comment
    data[entry + 32] = 5
    path.write_bytes(data)
    assert zipfile.ZipFile(path).namelist() == ["img_1.jpg", ""]
    assert unpack(folders, "icdar2015") == {path.name: 1}


def test_encrypted_files_are_told(folders):
    path = zip_of(folders[0] / "ch4_test_images.zip", [("img_1.jpg", b"x" * 50)])
    path.write_bytes(encrypted(path.read_bytes()))
    with pytest.raises(ArchiveError, match=r"zip, 'img_1\.jpg': is encrypted"):
        unpack(folders, "icdar2015")


def test_members_of_one_name_do_not_replace_each_other(folders):
    path = folders[0] / "ch4_test_images.zip"
    for other in (b"2" * 9, b"22"):
        zip_of(path, [("train/img_1.jpg", b"1" * 9), ("test/img_1.jpg", other)])
        for _ in range(2):
            with pytest.raises(ArchiveError, match="'train/img_1.jpg' and 'test/img_1.jpg' are"):
                unpack(folders, "icdar2015")
    zip_of(path, [("img_1.jpg", b"1" * 9), ("copy/img_1.jpg", b"1" * 9)])
    assert unpack(folders, "icdar2015") == {path.name: 1}


def test_archives_that_unpack_to_far_more(folders, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_SMALL", 10**6)
    path = folders[0] / "ch4_test_images.zip"
    zip_of(path, [(f"img_{i}.jpg", bytes(10**6)) for i in range(5)], zipfile.ZIP_DEFLATED)
    with pytest.raises(ArchiveError, match=r"ch4_test_images\.zip: unpacks to more than 100 times"):
        unpack(folders, "icdar2015")
    tar_of(folders[0] / "train_images.tar.gz", [(f"gt_{i}.jpg", bytes(10**6)) for i in range(5)])
    with pytest.raises(ArchiveError, match="unpacks to more than 100 times"):
        unpack(folders, "icdar2019_art")


@pytest.mark.parametrize("state", ["", "{bad", "[1]", '{"ch4_test_images.zip": 3}', "\xff"])
def test_a_broken_record_is_found_out_anew(folders, state):
    zip_of(folders[0] / "ch4_test_images.zip", [("img_1.jpg", b"x")])
    record = folders[1] / "icdar2015/prepared.json"
    record.parent.mkdir(parents=True)
    record.write_text(state, "latin-1")
    assert unpack(folders, "icdar2015") == {"ch4_test_images.zip": 1}
    assert json.loads(record.read_text()) == {"ch4_test_images.zip": {"bytes": 117, "files": 1}}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_other_files_that_are_there_are_replaced(folders, kind):
    dataset, folder = ("icdar2015", "ch4_test_images") if kind == "zip" else ("icdar2019_art", "")
    if kind == "zip":
        zip_of(folders[0] / "ch4_test_images.zip", [("gt_0.jpg", b"right")])
    else:
        tar_of(folders[0] / "train_images.tar.gz", [("gt_0.jpg", b"right")])
    path = folders[1] / dataset / (folder or "train_images") / "gt_0.jpg"
    elsewhere = folders[1] / "elsewhere"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"wrong")
    elsewhere.write_bytes(b"untouched")
    path.with_name("gt_0.jpg.part").symlink_to(elsewhere)
    unpack(folders, dataset)
    assert path.read_bytes() == b"right"
    assert elsewhere.read_bytes() == b"untouched"
    assert [p.name for p in path.parent.iterdir()] == ["gt_0.jpg"]


def test_damaged_json_is_told(folders):
    (folders[0] / "train_labels.json").write_text("{bad")
    with pytest.raises(ArchiveError, match=r"train_labels\.json: is damaged"):
        unpack(folders, "icdar2019_art")


def test_places_before_the_start_are_damage(folders):
    path = zip_of(folders[0] / "ch4_test_images.zip", [("img_1.jpg", b"x")])
    content = path.read_bytes()
    path.write_bytes(content[10:])  # so that every member lies ten bytes further ahead
    with pytest.raises(ArchiveError, match=r"ch4_test_images\.zip: is damaged"):
        unpack(folders, "icdar2015")


def test_a_full_disk_is_told_with_the_folder(folders, monkeypatch):
    zip_of(folders[0] / "ch4_test_images.zip", [("img_1.jpg", b"x")])

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(archives, "_write", full)
    with pytest.raises(OSError, match=r"No space left on device: .*icdar2015"):
        unpack(folders, "icdar2015")


def test_a_damaged_name_is_no_file_of_another_kind(folders):
    path = zip_of(folders[0] / "ch4_test_images.zip", [("img_1.jpg", b"x"), ("img_2.jpg", b"y")])
    content = path.read_bytes()
    place = content.rindex(b"img_2.jpg") + 8
    path.write_bytes(content[:place] + b"x" + content[place + 1 :])
    with pytest.raises(ArchiveError, match=r"is damaged .*img_2"):
        unpack(folders, "icdar2015")
