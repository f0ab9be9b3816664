"""Lazy and memory-mapped dataset dicts: the same dicts as a list of them, in the loader too."""

import json
import pickle

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from vlpt_d2.config import get_cfg
from vlpt_d2.data.lazy import JoinedDicts, LazyDicts, SelectedDicts, trainable
from vlpt_d2.data.loader import build_train_loader, get_dataset_dicts
from vlpt_d2.data.memmap_dicts import _FILES, MemmapDicts, MemmapError, MemmapWriter


def plain_dicts(root, count=9, seed=0):
    """Dicts with 0 to 3 texts of 3 to 6 points, some ignored, with words of any script."""
    rng = np.random.default_rng(seed)
    words = ["Joy", "", "中文", "a,b", "é" * 9]
    dicts = []
    for number in range(count):
        annotations = []
        for _ in range(number % 4):
            ring = rng.uniform(0, 30, (rng.integers(3, 7), 2)).astype(np.float32).astype(float)
            annotations.append(
                {
                    "bbox": [*ring.min(axis=0), *ring.max(axis=0)],
                    "bbox_mode": 0,
                    "category_id": 0,
                    "segmentation": [ring.ravel().tolist()],
                    "iscrowd": int(rng.integers(2)),
                    "text": words[rng.integers(5)],
                }
            )
            if number % 2:
                quads = rng.uniform(0, 30, (2, 8)).astype(np.float32)
                annotations[-1]["characters"] = quads.astype(float).tolist()
        name = f"{number % 3}/imágé_{number}.png"
        dicts.append(
            {
                "file_name": f"{root}/{name}",
                "height": 32,
                "width": 40 + number,
                "image_id": 100 + number,
                "annotations": annotations,
            }
        )
    return dicts


def add(writer, root, record):
    texts = record["annotations"]
    writer.add(
        record["file_name"].removeprefix(f"{root}/"),
        record["image_id"],
        (record["height"], record["width"]),
        [np.reshape(t["segmentation"][0], (-1, 2)) for t in texts],
        [t["text"] for t in texts],
        [t["iscrowd"] for t in texts],
        [np.reshape(t.get("characters", ()), (-1, 4, 2)) for t in texts],
    )


@pytest.fixture
def written(tmp_path):
    dicts = plain_dicts(tmp_path)
    with MemmapWriter(tmp_path / "index", "key") as writer:
        for record in dicts:
            add(writer, tmp_path, record)
        writer.finish({"report": {"words": 3}})
    return MemmapDicts(tmp_path / "index", tmp_path), dicts


def test_memmap_dicts_are_the_dicts(written):
    lazy, dicts = written
    assert isinstance(lazy, LazyDicts)
    assert list(lazy) == dicts
    assert lazy[-1] == dicts[-1]
    assert lazy[2:8:3] == dicts[2:8:3]
    assert lazy.meta["report"] == {"words": 3}
    with pytest.raises(IndexError, match="image 9 of 9"):
        lazy[9]
    lazy[1]["annotations"].clear()  # a new object each time
    assert lazy[1] == dicts[1]
    expected = [any(a["iscrowd"] == 0 for a in d["annotations"]) for d in dicts]
    assert lazy.has_trainable_text().tolist() == trainable(dicts).tolist() == expected
    assert 0 < sum(expected) < 9


def test_pickles_as_paths(written):
    lazy, dicts = written
    content = pickle.dumps(lazy)
    assert len(content) < 1000
    assert list(pickle.loads(content)) == dicts


def test_joined_and_selected(written):
    lazy, dicts = written
    joined = JoinedDicts([[], lazy, dicts[:2], []])
    assert list(joined) == dicts + dicts[:2]
    assert joined.has_trainable_text().tolist() == trainable(dicts + dicts[:2]).tolist()
    chosen = SelectedDicts(joined, np.array([10, 3]))
    assert list(chosen) == [dicts[1], dicts[3]]
    assert chosen.has_trainable_text().tolist() == [trainable(dicts)[1], trainable(dicts)[3]]


@pytest.mark.parametrize("stop", [0, 1, 4, 8])
def test_interrupted_writing_goes_on(tmp_path, stop):
    dicts = plain_dicts(tmp_path)
    folder = tmp_path / "index"
    with pytest.raises(KeyboardInterrupt), MemmapWriter(folder, {"of": 1}) as writer:
        for record in dicts[:stop]:
            add(writer, tmp_path, record)
        writer.commit({"done": stop})
        add(writer, tmp_path, dicts[stop])  # written, and lost
        raise KeyboardInterrupt
    with pytest.raises(FileNotFoundError, match="not written yet"):
        MemmapDicts(folder, tmp_path)
    with MemmapWriter(folder, {"of": 1}) as writer:
        assert writer.notes == {"done": stop}
        for record in dicts[stop:]:
            add(writer, tmp_path, record)
        writer.finish({})
    assert list(MemmapDicts(folder, tmp_path)) == dicts
    assert not (folder / "progress.json").exists()


def test_another_key_starts_anew(tmp_path):
    dicts = plain_dicts(tmp_path)
    with MemmapWriter(tmp_path / "index", 1) as writer:
        add(writer, tmp_path, dicts[3])
        writer.commit("note")
    with MemmapWriter(tmp_path / "index", 2) as writer:
        assert writer.notes is None
        add(writer, tmp_path, dicts[7])
        writer.finish({})
    assert list(MemmapDicts(tmp_path / "index", tmp_path)) == [dicts[7]]


def test_damaged_files_are_named(written, tmp_path):
    path = tmp_path / "index/points.bin"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"points\.bin: missing or not \d+ bytes.*write it again"):
        MemmapDicts(tmp_path / "index", tmp_path)


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_takes_lazy_and_plain_datasets_together(written, tmp_path, workers):
    lazy, dicts = written
    for record in dicts:
        path = tmp_path / record["file_name"]
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (record["width"], record["height"])).save(path)
    names = ("lazy_texts", "plain_texts")
    try:
        DatasetCatalog.register(names[0], lambda: lazy)
        DatasetCatalog.register(names[1], lambda: dicts[:3])
        both = get_dataset_dicts(names)
        assert len(both) == 12
        assert both[10]["image_id"] == 101
        filtered = get_dataset_dicts(names, filter_empty=True)
        kept = [d["image_id"] for d in dicts + dicts[:3] if trainable([d])[0]]
        assert [d["image_id"] for d in filtered] == kept
        cfg = get_cfg()
        cfg.INPUT.FORMAT = "RGB"
        cfg.INPUT.DETECTION.TRAIN_SIZE = (32, 32)
        cfg.DATASETS.TRAIN = names
        cfg.DATALOADER.NUM_WORKERS = workers
        cfg.SOLVER.IMS_PER_BATCH = 4
        cfg.SEED = 3
        loader = iter(build_train_loader(cfg))
        drawn = [sample["image_id"] for _ in range(3) for sample in next(loader)]
        assert sorted(drawn) == sorted(both_ids := [d["image_id"] for d in both])
        assert drawn != both_ids
    finally:
        for name in names:
            DatasetCatalog.pop(name, None)
            MetadataCatalog.pop(name, None)


@pytest.mark.parametrize("name", sorted(_FILES))
def test_a_changed_byte_of_a_memmap_file_is_told(written, tmp_path, name):
    path = tmp_path / f"index/{name}.bin"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(MemmapError, match=rf"{name}\.bin: is damaged, its checksum"):
        MemmapDicts(tmp_path / "index", tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: meta.pop("counts"),
        lambda meta: meta["counts"].update(ids=7),
        lambda meta: meta["crc32"].update(ids=7),
        lambda meta: meta.pop("checksum"),
        lambda meta: meta.update(version=1),
        lambda meta: meta.pop("version"),
        lambda meta: meta.update(checksum="0"),
    ],
)
def test_descriptions_of_another_form_are_told(written, tmp_path, change):
    path = tmp_path / "index/meta.json"
    meta = json.loads(path.read_text())
    change(meta)
    path.write_text(json.dumps(meta))
    with pytest.raises(MemmapError, match=r"meta\.json: .*write it again"):
        MemmapDicts(tmp_path / "index", tmp_path)


@pytest.mark.parametrize("content", ["", "[1]", '{"key": {"of": 1}}', "3", None])
def test_damaged_progress_starts_anew(tmp_path, content):
    dicts = plain_dicts(tmp_path)
    folder = tmp_path / "index"
    with MemmapWriter(folder, {"of": 1}) as writer:
        for record in dicts:
            add(writer, tmp_path, record)
        writer.commit({"done": 2})
    if content is None:  # files shorter than they were
        (folder / "ids.bin").write_bytes(b"")
    else:
        (folder / "progress.json").write_text(content)
    with MemmapWriter(folder, {"of": 1}) as writer:
        assert writer.notes is None
        add(writer, tmp_path, dicts[7])
        writer.finish({})
    assert list(MemmapDicts(folder, tmp_path)) == [dicts[7]]
