"""Bulk detection in one process, and in those of torchrun."""

import io
import json
import tarfile

import numpy as np
import pytest
from helpers.signs import SMALL, sign
from PIL import Image
from pyarrow import fs, parquet

from vlpt_d2 import TextPredictor
from vlpt_d2.bulk import SCHEMA, BulkDetector, BulkDone, detect_bulk, list_shards, shards
from vlpt_d2.bulk.detector import _on_local_gpu
from vlpt_d2.cli.main import main
from vlpt_d2.data.image_io import read_image

WORDS = {"a.png": ("COFFEE", "open"), "b.jpg": (), "sub/a.png": ("Bar",), "sub/c d.png": ("Inn",)}
PREDICTOR = {"backend": "onnx", "opts": SMALL}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of signs, with one that is broken and files that are no images."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "sub").mkdir()
    for name, words in WORDS.items():
        sign(words)[0].save(folder / name)
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:300])
    for name in (".hidden.png", "notes.txt", "sub/._c.png"):
        (folder / name).write_text("no image")
    return folder


@pytest.fixture(scope="module")
def expected(pictures):
    """What the predictor finds, by name."""
    predictor = TextPredictor(**PREDICTOR)
    return {name: predictor(str(pictures / name)) for name in WORDS}


def detect(source, output, **options):
    return detect_bulk(str(source), str(output), **{"per_shard": 2, **PREDICTOR, **options})


def rows(output):
    return parquet.read_table(output).to_pylist()


def check_rows(found, expected, prefix=""):
    """Compare rows with what the predictor finds, in any order."""
    assert sorted(row["image"] for row in found) == sorted(
        prefix + name for name in (*expected, "broken.png")
    )
    for row in found:
        if row["image"] == f"{prefix}broken.png":
            assert row["error"].startswith(f"{prefix}broken.png: cannot be decoded (")
            assert {row[key] for key in ("height", "scores", "texts", "width")} == {None}
            assert row["polygons"] is None
            continue
        texts = expected[row["image"].removeprefix(prefix)]
        assert (row["height"], row["width"]) == texts.image_size
        assert row["error"] is None and row["texts"] is None and row["page"] == 1
        assert row["model"] == "vlpt://db_mobile" and len(row["weights_sha256"]) == 64
        np.testing.assert_array_equal(row["scores"], texts.scores)
        for ours, theirs in zip(row["polygons"], texts.polygons, strict=True):
            np.testing.assert_array_equal(ours, theirs.ravel())


def test_rows_are_the_predictors(pictures, tmp_path, expected):
    done = detect(pictures, tmp_path)
    assert done == BulkDone(shards=3, resumed=0, images=5, failed=1)
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == [
        "_bulk.json",
        *(f"part-00000{i}.parquet" for i in range(3)),
    ]
    assert parquet.read_schema(tmp_path / "part-000000.parquet").equals(SCHEMA)
    found = rows(tmp_path)
    check_rows(found, expected)
    assert [row["image"] for row in found] == sorted([*WORDS, "broken.png"])
    assert len(expected["a.png"]) == 2
    settings = json.loads((tmp_path / "_bulk.json").read_text())
    assert settings["weights_sha256"] == found[0]["weights_sha256"]


def test_a_killed_run_resumes_with_the_missing_shards(pictures, tmp_path, monkeypatch):
    detect(pictures, tmp_path / "whole")
    write, written = shards.write_whole, []

    def killed(files, path, content):
        written.append(path)
        if len(written) == 3:  # settings, a shard, and in the middle of another
            (tmp_path / "out/part-000001.parquet.part").write_bytes(bytes(content)[:9])
            raise KeyboardInterrupt
        write(files, path, content)

    for module in ("detector", "run"):
        monkeypatch.setattr(f"vlpt_d2.bulk.{module}.write_whole", killed)
    with pytest.raises(KeyboardInterrupt):
        detect(pictures, tmp_path / "out")
    first = tmp_path / "out/part-000000.parquet"
    before = first.stat().st_mtime_ns
    monkeypatch.undo()
    done = detect(pictures, tmp_path / "out")
    assert done == BulkDone(shards=3, resumed=1, images=3, failed=1)
    assert first.stat().st_mtime_ns == before
    whole, resumed = ({p.name: p.read_bytes() for p in (tmp_path / f).glob("part*")}
                      for f in ("whole", "out"))  # fmt: skip
    assert whole == resumed
    assert detect(pictures, tmp_path / "out") == BulkDone(3, 3, 0, 0)


def test_processes_of_torchrun_share_the_shards(pictures, tmp_path, expected, monkeypatch):
    done = []
    for rank in (1, 0):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        done.append(detect(pictures, tmp_path / "out"))
    assert [(d.shards, d.images) for d in done] == [(1, 2), (2, 3)]
    check_rows(rows(tmp_path / "out"), expected)
    with pytest.raises(ValueError, match="not both"):
        detect(pictures, tmp_path / "out", ray_workers=2)


def test_each_process_of_torchrun_has_its_gpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert _on_local_gpu({}) == {}
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert _on_local_gpu({"batch_size": 2}) == {"batch_size": 2, "device": "cuda:3"}
    for given in ({"device": "cpu"}, {"backend": "onnx"}):
        assert _on_local_gpu(given) == given
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert _on_local_gpu({}) == {}


def test_tar_files_are_shards(pictures, tmp_path, expected):
    (tmp_path / "tars").mkdir()
    with tarfile.open(tmp_path / "tars/x-0.tar", "w") as archive:
        for name in ("notes.txt", *WORDS, "broken.png", ".hidden.png"):
            archive.add(pictures / name, name)
    whole = (tmp_path / "tars/x-0.tar").read_bytes()
    assert detect(tmp_path / "tars", tmp_path / "out") == BulkDone(1, 0, 5, 1)
    check_rows(rows(tmp_path / "out"), expected, "x-0.tar/")
    # One that is cut off: the images before the cut, and the error.
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        cut = archive.getmember("sub/a.png").offset_data + 10
    (tmp_path / "tars/x-1.tar").write_bytes(whole[:cut])
    source = f"file://{tmp_path}/tars/x-1.tar"
    assert detect(source, tmp_path / "cut") == BulkDone(1, 0, 3, 1)
    found = rows(tmp_path / "cut")
    assert [row["image"] for row in found] == ["x-1.tar/a.png", "x-1.tar/b.jpg", "x-1.tar"]
    assert found[2]["error"].startswith("x-1.tar: is not a complete tar file (")


def test_another_file_system(pictures, tmp_path, expected, monkeypatch):
    """As an object store's, where writing is not replacing a file of this machine."""

    root = tmp_path.parent.parent

    def open_place(place):
        return fs.SubTreeFileSystem(str(root), fs.LocalFileSystem()), place.removeprefix("s3://")

    monkeypatch.setattr(shards, "open_place", open_place)
    for module in ("detector", "run"):
        monkeypatch.setattr(f"vlpt_d2.bulk.{module}.open_place", open_place)
    source, output = (f"s3://{path.relative_to(root)}" for path in (pictures, tmp_path / "out"))
    assert detect(source, output).images == 5
    check_rows(rows(tmp_path / "out"), expected)
    assert detect(source, output) == BulkDone(3, 3, 0, 0)


def test_every_page_of_a_tiff(tmp_path):
    pages = [sign(words)[0] for words in (("COFFEE", "open"), (), ("Bar",))]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    detect(tmp_path / "scan.tif", tmp_path / "out")
    found = [(row["image"], row["page"], len(row["scores"])) for row in rows(tmp_path / "out")]
    assert found == [("scan.tif", 1, 2), ("scan.tif", 2, 0), ("scan.tif", 3, 1)]


def test_a_file_that_is_written_is_counted_not_done_again(pictures, tmp_path):
    """What Ray asks for again when a worker was killed before it could report."""
    detector = BulkDetector(str(pictures), str(tmp_path), PREDICTOR)
    (first, *_), _ = list_shards(str(pictures), 3)
    assert detector(first) == {"images": 3, "failed": 1}
    before = (tmp_path / "part-000000.parquet").stat().st_mtime_ns
    assert detector(first) == {"images": 3, "failed": 1}
    assert (tmp_path / "part-000000.parquet").stat().st_mtime_ns == before


def test_outputs_of_others_are_refused(pictures, tmp_path):
    detect(pictures, tmp_path / "out")
    other = {"opts": (*SMALL, "MODEL.DB.BOX_THRESH", "0.9")}
    with pytest.raises(ValueError, match="other settings: name another folder"):
        detect(pictures, tmp_path / "out", **other)
    with pytest.raises(ValueError, match="other images, per_shard: name another folder"):
        detect(pictures / "sub", tmp_path / "out", per_shard=3)


def test_the_verb(pictures, tmp_path, capsys):
    arguments = ["--output", str(tmp_path / "out"), "--backend", "onnx", "--per-shard", "4"]
    assert main(["bulk", str(pictures), *arguments, "--batch", "2", "--opts", *SMALL]) == 0
    out = f"{tmp_path}/out: 2 shards, 5 images; 1 could not be read\n"
    assert capsys.readouterr().out == out
    assert len(rows(tmp_path / "out")) == 5
    assert main(["bulk", str(pictures), *arguments, "--batch", "2", "--opts", *SMALL]) == 0
    assert "2 shards, 2 of them from earlier runs, 0 images\n" in capsys.readouterr().out
    for source, message in (("nowhere", "no such file or folder"), ("out", "there is no image")):
        assert main(["bulk", str(tmp_path / source), "--output", str(tmp_path / "other")]) == 2
        assert message in capsys.readouterr().err


def test_pixels_are_read_as_everywhere(tmp_path):
    """EXIF turns, and grey of 16 bits, as read_image has them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    sign()[0].save(tmp_path / "turned.jpg", exif=exif)
    detect(tmp_path, tmp_path / "out")
    (row,) = rows(tmp_path / "out")
    image = read_image(str(tmp_path / "turned.jpg"), "turned.jpg")
    assert (row["height"], row["width"]) == image.shape[:2] == (224, 160)
