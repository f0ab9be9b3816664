"""Shards: written, resumed, read back from files and commands, and by the webdataset package."""

import copy
import json
import random
import tarfile
from contextlib import suppress

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode
from helpers.locks import held_by_another
from helpers.sharding import image_folder
from PIL import Image

from vlpt_d2.cli.main import main
from vlpt_d2.config import get_cfg
from vlpt_d2.data.lazy import trainable
from vlpt_d2.data.sample import load_sample
from vlpt_d2.data.shards import open_shards, register_shards_from_config, write_shards
from vlpt_d2.data.shards.archive import ShardError, read_samples
from vlpt_d2.utils.checksums import json_checksum
from vlpt_d2.utils.locks import FolderInUseError


@pytest.fixture
def dicts(tmp_path):
    return image_folder(tmp_path / "photos", 11)


def plain(record):
    """A dict without what tells shards from files."""
    kept = {k: v for k, v in record.items() if k not in ("file_name", "image_bytes")}
    return kept | {"name": str(record["file_name"]).rpartition("/")[2]}


def test_shards_hold_the_dataset(tmp_path, dicts):
    index = write_shards(dicts, tmp_path / "out", "toy", per_shard=4, seed=None)
    assert [s["images"] for s in index["shards"]] == [4, 4, 3]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        ".lock", "shards.json", "toy-000000.tar", "toy-000001.tar", "toy-000002.tar",
    ]  # fmt: skip
    shards = open_shards(str(tmp_path / "out"))
    assert [plain(d) for d in shards] == [plain(d) for d in dicts]
    assert shards[9]["file_name"] == "toy-000002.tar/9.png"
    assert isinstance(shards[1]["annotations"][0]["bbox_mode"], BoxMode)
    for index in (0, 10, 3, 3, 5):  # forth and back
        with open(dicts[index]["file_name"], "rb") as file:
            assert shards[index]["image_bytes"] == file.read()
    assert trainable(shards).tolist() == trainable(dicts).tolist()
    assert 0 < sum(trainable(shards)) < 11


def test_words_without_places_are_kept(tmp_path, dicts):
    for record in dicts:
        record["annotations"] = [{"text": "toy", "iscrowd": 0}]
    write_shards(dicts, tmp_path / "out", "toy", seed=None)
    shards = open_shards(str(tmp_path / "out"))
    assert [plain(d) for d in shards] == [plain(d) for d in dicts]
    assert load_sample(shards[3], "RGB")[1].words == ["toy"]


def test_order_is_shuffled_by_the_seed(tmp_path, dicts):
    orders = []
    for seed in (0, 0, 1):
        folder = tmp_path / f"out{len(orders)}"
        write_shards(dicts, folder, "toy", per_shard=6, seed=seed)
        orders.append([d["image_id"] for d in open_shards(str(folder))])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(11)) != orders[0]
    first, second = ((tmp_path / f"out{i}/toy-000000.tar").read_bytes() for i in range(2))
    assert first == second


def test_images_are_the_same_turned_and_squeezed_ones_too(tmp_path):
    dicts = image_folder(tmp_path / "photos", 2)
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.arange(24 * 36 * 3, dtype=np.uint8).reshape(24, 36, 3)
    Image.fromarray(pixels).save(dicts[0]["file_name"], exif=exif)
    dicts[0].update(height=36, width=24)
    dicts[1]["restore_size"] = (48, 60)
    write_shards(dicts, tmp_path / "out", "toy", seed=None)
    for shard, record in zip(open_shards(str(tmp_path / "out")), dicts):
        for restore in (True, False):
            image, texts = load_sample(shard, "BGR", restore)
            expected, others = load_sample(record, "BGR", restore)
            assert np.array_equal(image, expected)
            assert texts.to_annotations() == others.to_annotations()


def test_rendered_images_are_drawn(tmp_path):
    dicts = DatasetCatalog.get("rendered_quickstart_val")[:2]
    write_shards(dicts, tmp_path, "drawn", seed=None)
    for shard, record in zip(open_shards(str(tmp_path)), dicts):
        image, texts = load_sample(shard, "RGB")
        expected, others = load_sample(record, "RGB")
        assert np.array_equal(image, expected)
        assert texts.to_annotations() == others.to_annotations()


class Stop(Exception):
    pass


@pytest.mark.parametrize("shards", [1, 2])
def test_interrupted_writing_goes_on(tmp_path, dicts, shards):
    write_shards(dicts, tmp_path / "whole", "toy", per_shard=4)

    def stop(done, total):
        assert total == 11
        if done == 4 * shards:
            raise Stop

    folder = tmp_path / "out"
    with pytest.raises(Stop):
        write_shards(dicts, folder, "toy", per_shard=4, progress=stop)
    with pytest.raises(FileNotFoundError, match="vlpt-d2 data shard"):
        open_shards(str(folder))
    (folder / f"toy-00000{shards}.tar.part").write_bytes(b"half")
    before = (folder / "toy-000000.tar").stat().st_mtime_ns
    for _ in range(2):  # the second time there is nothing to do
        write_shards(dicts, folder, "toy", per_shard=4)
    assert (folder / "toy-000000.tar").stat().st_mtime_ns == before
    for path in (tmp_path / "whole").iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert len(list(folder.glob("[!.]*"))) == 4
    with pytest.raises(ValueError, match="name another folder"):
        write_shards(dicts, folder, "toy", per_shard=5)


def test_missing_image_is_named_and_leaves_no_shard(tmp_path, dicts):
    (tmp_path / "photos/7.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"7\.png"):
        write_shards(dicts, tmp_path / "out", "toy", per_shard=5, seed=None)
    assert sorted(p.name for p in (tmp_path / "out").glob("*.tar")) == ["toy-000000.tar"]


def test_commands_are_read(tmp_path, dicts):
    write_shards(dicts, tmp_path / "out", "toy", per_shard=4)
    piped = open_shards(f"pipe:cat {tmp_path}/out/{{}}")
    assert [plain(d) for d in piped] == [plain(d) for d in open_shards(str(tmp_path / "out"))]
    assert piped[5] == piped[5]
    assert piped[0]["file_name"].startswith("toy-000000.tar/")


def test_failing_commands_are_named(tmp_path, dicts):
    with pytest.raises(ValueError, match="has no {}"):
        open_shards("pipe:cat x")
    with pytest.raises(ShardError, match=r"pipe:cat .*status 1"):
        open_shards(f"pipe:cat {tmp_path}/nowhere/{{}}")
    with pytest.raises(ShardError, match="cannot be started"):
        open_shards("pipe:no-such-command {}")
    write_shards(dicts, tmp_path / "out", "toy", per_shard=4)
    piped = open_shards(f"pipe:cat {tmp_path}/out/{{}}")
    (tmp_path / "out/toy-000001.tar").unlink()
    with pytest.raises(ShardError, match=r"toy-000001\.tar: the command ended with status 1"):
        piped[5]
    assert piped[9]["image_bytes"]  # and one can go on


def test_damaged_shards_are_named(tmp_path, dicts):
    write_shards(dicts, tmp_path, "toy", per_shard=4)
    shards = open_shards(str(tmp_path))
    path = tmp_path / "toy-000001.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[:-11_000])
    with pytest.raises(ShardError, match=r"toy-000001\.tar: "):
        list(shards)
    with tarfile.open(path, "w"):
        pass
    with pytest.raises(ShardError, match=r"toy-000001\.tar: ends before sample 1 of 4"):
        shards[4]
    path.write_bytes(b"\x1f no tar file" * 100)
    with pytest.raises(ShardError, match=r"toy-000001\.tar: is not a complete tar file"):
        shards[4]
    path.write_bytes(whole)
    assert shards[4]["image_id"] >= 0
    (tmp_path / "shards.json").write_text("[1")
    with pytest.raises(ShardError, match="is not an index"):
        open_shards(str(tmp_path))
    (tmp_path / "shards.json").write_text('{"version": 0}')
    with pytest.raises(ShardError, match="of version 2"):
        open_shards(str(tmp_path))


def test_samples_of_another_kind_are_refused(tmp_path):
    for name, files in (("a", ["1.jpg"]), ("b", ["1.json"]), ("c", ["1.jpg", "1.png", "1.json"])):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as archive:
            for file in files:
                (tmp_path / file).write_text('{"file_name": "x"}')
                archive.add(tmp_path / file, f"00000000{file}")
        with pytest.raises(ShardError, match=rf"{name}\.tar, sample 0{{8}}1: is not an image with"):
            list(read_samples(str(tmp_path / f"{name}.tar"), first=1))


def test_compressed_shards_are_read(tmp_path, dicts):
    write_shards(dicts, tmp_path, "toy")
    with (
        tarfile.open(tmp_path / "toy.tar.gz", "w:gz") as packed,
        tarfile.open(tmp_path / "toy-000000.tar") as source,
    ):
        for member in source:
            packed.addfile(member, source.extractfile(member))
    plain_ones = list(read_samples(str(tmp_path / "toy-000000.tar"), skip=3))
    for source in (f"{tmp_path}/toy.tar.gz", f"pipe:cat {tmp_path}/toy.tar.gz"):
        read = list(read_samples(source, skip=3))
        assert [d["image_bytes"] for d in read] == [d["image_bytes"] for d in plain_ones]
    assert len(plain_ones) == 8


def test_selected_images_stay_in_shards(tmp_path, dicts):
    write_shards(dicts, tmp_path, "toy", per_shard=4, seed=None)
    shards = open_shards(str(tmp_path)).select(np.array([1, 2, 9, 10]))
    assert [d["image_id"] for d in shards] == [1, 2, 9, 10]
    assert shards.sizes.tolist() == [2, 0, 2]
    again = shards.select(np.array([0, 3]))
    assert [d["image_id"] for d in again] == [1, 10]
    assert trainable(again).tolist() == trainable([dicts[1], dicts[10]]).tolist()


def test_webdataset_reads_them(tmp_path, dicts):
    webdataset = pytest.importorskip("webdataset")
    write_shards(dicts, tmp_path, "toy", per_shard=4, seed=None)
    urls = str(tmp_path / "toy-{000000..000002}.tar")
    samples = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))
    assert [s["__key__"] for s in samples] == [f"{i:09d}" for i in range(11)]
    for sample, record in zip(samples, dicts):
        with open(record["file_name"], "rb") as file:
            assert sample["png"] == file.read()
        label = json.loads(sample["json"])
        assert label["annotations"] == record["annotations"]


def test_commands_write_and_check(tmp_path, dicts, capsys, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    DatasetCatalog.register("toy_photos_to_shard", lambda: dicts)
    try:
        out = tmp_path / "out"
        command = ["data", "shard", "toy_photos_to_shard", str(out), "--per-shard", "4"]
        assert main(command) == 0
        assert "11 images in 3 shards" in capsys.readouterr().out
        assert main(["data", "check", "toy", "--shards", str(out), "--decode"]) == 0
        output = capsys.readouterr().out
        assert "11  images\n" in output
        assert (
            main(["data", "convert", "toy", f"{out}2", "--to", "icdar", "--shards", f"{out}"]) == 0
        )
        assert len(list((tmp_path / "out2/images").iterdir())) == 11
        assert main(["data", "check", "toy", "--shards", str(tmp_path)]) == 2
        assert "vlpt-d2 data shard NAME FOLDER" in capsys.readouterr().err
        assert main([*command[:-1], "5"]) == 2
        assert "name another folder" in capsys.readouterr().err
    finally:
        DatasetCatalog.remove("toy_photos_to_shard")


def test_config_registers_shards(tmp_path, dicts):
    cfg = get_cfg()
    names = ("toy_sharded_one", "toy_sharded_two")
    try:
        for number, part in enumerate((dicts, dicts[:5])):
            write_shards(part, tmp_path / str(number), "toy")
        cfg.DATASETS.SHARDS = [f"{n}={tmp_path}/{i}" for i, n in enumerate(names)]
        register_shards_from_config(cfg)
        assert [len(DatasetCatalog.get(name)) for name in names] == [11, 5]
        cfg.DATASETS.SHARDS = [f"{names[0]}={tmp_path}/1"]
        register_shards_from_config(cfg)
        assert len(DatasetCatalog.get(names[0])) == 5
        assert MetadataCatalog.get(names[0]).evaluator_type == "icdar2015"
    finally:
        for name in names:
            DatasetCatalog.pop(name, None)
            MetadataCatalog.pop(name, None)
    for entry, message in (("toy", "NAME=SOURCE"), ("icdar2015_train=x", "already")):
        cfg.DATASETS.SHARDS = [entry]
        with pytest.raises(ValueError, match=message):
            register_shards_from_config(cfg)


def test_two_writers_into_one_folder(tmp_path, dicts):
    with held_by_another(tmp_path / "out"), pytest.raises(FolderInUseError):
        write_shards(dicts, tmp_path / "out", "toy")
    assert len(write_shards(dicts, tmp_path / "out", "toy")["shards"]) == 1


def digits(path):
    """Places of the digits of every sample's label in a shard."""
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name.endswith(".json"):
                content = archive.extractfile(member).read()
                end = content.index(b', "crc32"')
                yield from (
                    member.offset_data + i for i in range(end) if content[i : i + 1].isdigit()
                )


def test_a_changed_digit_of_a_label_is_told(tmp_path, dicts):
    write_shards(dicts, tmp_path / "out", "toy", seed=None)
    path = tmp_path / "out/toy-000000.tar"
    whole = path.read_bytes()
    places = list(digits(path))
    shards = open_shards(str(tmp_path / "out"))
    for place in random.Random(0).sample(places, 40):
        data = bytearray(whole)
        data[place] = ord("1") if data[place] != ord("1") else ord("2")
        path.write_bytes(data)
        with pytest.raises(
            ShardError, match=r"toy-000000\.tar, sample .*(checksum|file_name|BoxMode)"
        ):
            list(shards)


def test_a_changed_pixel_is_told(tmp_path, dicts):
    write_shards(dicts, tmp_path / "out", "toy", seed=None)
    path = tmp_path / "out/toy-000000.tar"
    data = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        data[archive.getmember("000000003.png").offset_data + 100] ^= 1
    path.write_bytes(data)
    shards = open_shards(str(tmp_path / "out"))
    assert shards[2]["image_id"] == 2
    with pytest.raises(ShardError, match=r"toy-000000\.tar, sample 000000003: is damaged"):
        shards[3]
    assert shards[4]["image_id"] == 4


def edited(folder, change, checksum=False):
    """Edit the index, as someone who means harm or does not know better would."""
    path = folder / "shards.json"
    index = json.loads(path.read_text())
    change(index)
    if checksum:
        index["checksum"] = json_checksum(index)
    path.write_text(json.dumps(index))


def test_an_edited_index_is_told(tmp_path, dicts):
    write_shards(dicts, tmp_path, "toy", per_shard=4)
    edited(tmp_path, lambda index: index["shards"][0]["unusable"].append(2))
    with pytest.raises(ShardError, match="shards.json: is damaged or edited"):
        open_shards(str(tmp_path))


BAD_NAMES = ["../../etc/passwd", "/etc/passwd", "x --version", "--version", "a\\b", "$(id)", "a'b"]
BAD_NAMES += ["", ".", "a\nb", "a;b", "a\0b", 3, None, ["x"]]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_neither_leave_the_folder_nor_add_arguments(tmp_path, dicts, name):
    write_shards(dicts, tmp_path, "toy", per_shard=4)
    edited(tmp_path, lambda index: index["shards"][0].update(file=name), checksum=True)
    for source in (str(tmp_path), f"pipe:cat {tmp_path}/{{}}"):
        with pytest.raises(ShardError, match=r"shards\.json: is damaged .*not a name for a shard"):
            open_shards(source)
    if isinstance(name, str):
        with pytest.raises(ValueError, match="not a name for a shard"):
            write_shards(dicts, tmp_path / "out", name)


@pytest.mark.parametrize("finished", [False, True])
def test_old_and_new_labels_are_not_mixed(tmp_path, dicts, finished):
    def stop(done, total):
        if done == 8 and not finished:
            raise Stop

    folder = tmp_path / "out"
    with suppress(Stop):
        write_shards(dicts, folder, "toy", per_shard=4, seed=None, progress=stop)
    dicts[5] = copy.deepcopy(dicts[5])
    dicts[5]["annotations"][0]["text"] = "Toy"
    with pytest.raises(
        ValueError, match=r"toy-000001\.tar has other labels .*write all shards again"
    ):
        write_shards(dicts, folder, "toy", per_shard=4, seed=None)


@pytest.mark.parametrize("damage", ["missing", "cut off"])
def test_a_shard_that_is_not_whole_is_written_again(tmp_path, dicts, damage):
    write_shards(dicts, tmp_path, "toy", per_shard=4)
    path = tmp_path / "toy-000001.tar"
    whole, index = path.read_bytes(), (tmp_path / "shards.json").read_bytes()
    path.unlink() if damage == "missing" else path.write_bytes(whole[:3000])
    write_shards(dicts, tmp_path, "toy", per_shard=4)
    assert path.read_bytes() == whole
    assert (tmp_path / "shards.json").read_bytes() == index


@pytest.mark.parametrize("at", [0, 5])
def test_another_shard_under_a_shard_s_name_is_refused(tmp_path, dicts, at):
    write_shards(dicts, tmp_path, "toy", per_shard=4)
    first, second = (tmp_path / f"toy-00000{i}.tar" for i in range(2))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    with pytest.raises(ShardError, match=r"toy-00000\d\.tar: has sample '00000000\d' in place of"):
        open_shards(str(tmp_path))[at]


def test_damage_ends_commands(tmp_path, dicts):
    """One that still has much to write would wait for ever."""
    write_shards(dicts, tmp_path, "toy")
    path = tmp_path / "toy-000000.tar"
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data + bytes(1 << 20))
    with pytest.raises(ShardError, match="is damaged"):
        open_shards(f"pipe:cat {tmp_path}/{{}}")[0]
