"""Archives read as zipfile reads them."""

import io
import random
import zipfile

import pytest

from vlpt_d2.evaluation.zip_archive import BROKEN, ZipArchive

FILES = {"gt_img_1.txt": b"1,2,3", "a/b/gt_ä写.txt": b"x" * 500, "empty.txt": b"", "up.txt": b"up"}


def archive(path, method=zipfile.ZIP_DEFLATED, comment=b"", before=b""):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as file:
        file.mkdir("folder")
        for name, data in FILES.items():
            file.writestr(name, data)
        file.comment = comment
    path.write_bytes(before + content.getvalue())
    return path


def read_all(path):
    files = ZipArchive(path)
    try:
        return {name: files.read(member) for name, size, member in files.members()}
    finally:
        files.close()


def by_zipfile(path):
    with zipfile.ZipFile(path) as file:
        return {info.filename: file.read(info) for info in file.infolist()}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_every_member_is_read(tmp_path, method):
    path = archive(tmp_path / "x.zip", method)
    assert read_all(path) == by_zipfile(path) == {"folder/": b"", **FILES}
    files = ZipArchive(path)
    assert [size for _, size, _ in files.members()] == [0, 5, 500, 0, 2]
    files.close()


def test_what_is_unusual_is_left_to_zipfile(tmp_path):
    for path in (
        archive(tmp_path / "comment.zip", comment=b"hello"),
        archive(tmp_path / "program.zip", before=b"#!/bin/sh\n"),
    ):
        assert read_all(path) == {"folder/": b"", **FILES}
    with zipfile.ZipFile(tmp_path / "none.zip", "w"):
        pass
    assert read_all(tmp_path / "none.zip") == {}


def test_the_directory_of_many_files(tmp_path, monkeypatch):
    """Of more than 65,535, or here of more than two."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    path = archive(tmp_path / "x.zip")
    assert b"PK\6\6" in path.read_bytes()
    monkeypatch.setattr(zipfile, "ZipFile", None)  # it is not asked
    assert read_all(path) == {"folder/": b"", **FILES}


def test_damage_is_found(tmp_path):
    rng = random.Random(0)
    whole = archive(tmp_path / "x.zip").read_bytes()
    found = 0
    for _ in range(300):
        content = bytearray(whole)
        content[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        (tmp_path / "x.zip").write_bytes(content)
        try:
            files = read_all(tmp_path / "x.zip")
        except BROKEN:
            found += 1
            continue
        # What is left undamaged: the contents are checked.
        assert set(files.values()) <= {*FILES.values()}
    assert found > 50
