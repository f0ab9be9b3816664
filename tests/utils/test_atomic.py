"""Files appear whole or not at all."""

import errno
import os
import resource

import pytest
import torch

from vlpt_d2.utils.atomic import replacing, write_json, write_text


@pytest.fixture
def small_disk():
    """Files cannot grow beyond 4,000 bytes: a write fails as it does on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_new_content_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    write_json(path, {"new": "ä"}, indent=1)
    assert path.read_text("utf-8") == '{\n "new": "\\u00e4"\n}'
    write_text(str(path), "ä\n")
    assert path.read_bytes() == "ä\n".encode()
    assert os.listdir(tmp_path) == ["a.json"]


def write_tensors(file):
    torch.save({"weights": torch.zeros(20_000)}, file)


def write_bytes(file):
    file.write(bytes(3000))
    file.write(bytes(3000))


def write_little_at_last(file):
    file.write(bytes(4001))


@pytest.mark.parametrize("write", [write_tensors, write_bytes, write_little_at_last])
def test_full_disk_names_the_file_and_keeps_the_old_one(tmp_path, small_disk, write):
    path = tmp_path / "model.pth"
    path.write_text("old")
    with pytest.raises(OSError) as caught, replacing(path) as file:
        write(file)
    assert caught.value.errno == errno.EFBIG and caught.value.filename == str(path)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.pth"]


def test_a_folder_that_is_missing_is_told_with_the_file(tmp_path):
    path = tmp_path / "gone" / "a.json"
    with pytest.raises(FileNotFoundError) as caught:
        write_json(path, {})
    assert caught.value.filename == str(path)


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_json(tmp_path / "a.json", {})
    assert caught.value.filename == str(tmp_path / "a.json")
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_errors_of_the_writer_keep_the_old_file(tmp_path, error):
    path = tmp_path / "a"
    write_text(path, "old")
    with pytest.raises(error), replacing(path) as file:
        file.write(b"half")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_content_is_on_the_disk_before_its_name_and_then_the_name(tmp_path, monkeypatch):
    """After a loss of power there is the old file or the new one."""
    calls = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        calls.append(("fsync", name, os.fstat(descriptor).st_size if "part" in name else None))
        fsync(descriptor)

    def noted_replace(source, target):
        calls.append(("replace", os.path.basename(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_text(tmp_path / "a", "content")
    assert calls == [("fsync", "a.part", 7), ("replace", "a"), ("fsync", tmp_path.name, None)]
