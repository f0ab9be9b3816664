"""Weight files are read as data, never as code."""

import collections
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vlpt_d2.checkpoint import CheckpointError, read_checkpoint


class Code:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_torch_files_with_or_without_a_model_key(tmp_path):
    weights = {"a.weight": torch.arange(3.0)}
    path = str(tmp_path / "a.pth")
    for content in (weights, {"model": weights}, {"state_dict": weights}):
        torch.save(content, path)
        assert torch.equal(read_checkpoint(path)["model"]["a.weight"], torch.arange(3.0))
    torch.save({"model": {"module.a": torch.ones(1), "module.b": torch.ones(1)}, "x": 1}, path)
    assert list(read_checkpoint(path)["model"]) == ["a", "b"]
    assert read_checkpoint(path)["x"] == 1


def test_module_versions_are_dropped(tmp_path):
    """FrozenBatchNorm2d would take BatchNorm2d's for its own."""
    path = str(tmp_path / "a.pth")
    torch.save({"model": torch.nn.BatchNorm2d(2).state_dict()}, path)
    assert not hasattr(read_checkpoint(path)["model"], "_metadata")


@pytest.mark.parametrize("suffix, dump", [("pth", torch.save), ("pkl", None)])
def test_code_is_refused_and_not_run(tmp_path, suffix, dump):
    path, trap = str(tmp_path / f"a.{suffix}"), tmp_path / "trap"
    content = {"model": {"a": Code(str(trap))}}
    if dump:
        dump(content, path)
    else:
        with open(path, "wb") as file:
            pickle.dump(content, file)
    with pytest.raises(CheckpointError, match=r"holds (posix|nt)\.mkdir, which is not loaded"):
        read_checkpoint(path)
    assert not trap.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_detectron2_pickles_are_read(tmp_path, protocol):
    path = str(tmp_path / "a.pkl")
    content = collections.OrderedDict(
        model={
            "w": np.arange(6, dtype=np.float32).reshape(2, 3),
            "n": np.array(3),
            "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            "swapped": np.arange(3, dtype=">f4"),
            "none": np.zeros((0, 2), np.float32),
            "flags": np.array([True, False]),
        },
        __author__="someone",
        matching_heuristics=True,
    )
    with open(path, "wb") as file:
        pickle.dump(content, file, protocol=protocol)
    read = read_checkpoint(path)
    assert read["__author__"] == "someone"
    assert torch.equal(read["model"]["w"], torch.arange(6.0).reshape(2, 3))
    assert read["model"]["n"].item() == 3
    assert torch.equal(read["model"]["columns"], torch.arange(6.0).double().reshape(2, 3))
    assert torch.equal(read["model"]["swapped"], torch.arange(3.0))
    assert read["model"]["none"].shape == (0, 2)
    assert read["model"]["flags"].tolist() == [True, False]


def test_pickles_of_python_2_are_read(tmp_path):
    """As the zoo's were written: protocol 2, byte strings, numpy's old module names."""
    path = tmp_path / "old.pkl"
    data = pickle.dumps({"blobs": {"conv1_w": np.float32([1, 2])}}, protocol=2)
    path.write_bytes(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert torch.equal(read_checkpoint(str(path))["model"]["conv1_w"], torch.tensor([1.0, 2.0]))


def test_safetensors_with_the_trunk(tmp_path):
    path = str(tmp_path / "a.safetensors")
    save_file({"w": torch.ones(2)}, path, metadata={"trunk": '{"depth": 18}'})
    read = read_checkpoint(path)
    assert read["trunk"] == {"depth": 18} and torch.equal(read["model"]["w"], torch.ones(2))


@pytest.mark.parametrize("suffix", ["pth", "pkl", "safetensors"])
def test_files_that_are_cut_off_are_named(tmp_path, suffix):
    path = tmp_path / f"broken.{suffix}"
    weights = {"w": torch.ones(400)}
    if suffix == "pth":
        torch.save(weights, path)
    elif suffix == "pkl":
        path.write_bytes(pickle.dumps({"w": np.ones(400)}))
    else:
        save_file(weights, str(path))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CheckpointError, match=rf"broken\.{suffix} is damaged, cut off"):
        read_checkpoint(str(path))


def test_other_contents_are_refused(tmp_path):
    path = str(tmp_path / "a.pth")
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="holds a list"):
        read_checkpoint(path)
    torch.save({"epoch": 3, "weights": {"a": torch.ones(1)}}, path)
    with pytest.raises(CheckpointError, match="'epoch' is a int"):
        read_checkpoint(path)


@pytest.mark.parametrize("kept", [0, 4, 20, 60])
def test_old_files_that_are_cut_off_are_named(tmp_path, kept):
    """torch's message may be empty."""
    path = tmp_path / "old.pth"
    torch.save({"a": torch.ones(5)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"old\.pth is damaged, cut off"):
        read_checkpoint(str(path))


def test_what_is_no_checkpoint_is_told_by_what_it_holds(tmp_path):
    path = tmp_path / "page.pth"
    path.write_text("<!DOCTYPE html><html></html>")
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(str(path))
    assert "Unsupported operand 60" in str(caught.value) and "weights_only" not in str(caught.value)


@pytest.mark.parametrize("kind", ["zip", "safetensors"])
def test_a_changed_bit_is_told(tmp_path, kind):
    """torch compares no checksums; safetensors has none, so only its header can show damage."""
    path = tmp_path / "a.pth"
    if kind == "zip":
        torch.save({"model": {"w": torch.arange(500.0)}}, path)
        data = bytearray(path.read_bytes())
        data[data.find(np.arange(500, dtype=np.float32).tobytes()) + 900] ^= 1
    else:
        path = tmp_path / "a.safetensors"
        save_file({"w": torch.ones(5)}, path, metadata={"trunk": '{"depth": 18'})
        data = path.read_bytes()
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"damaged.*copy it again"):
        read_checkpoint(str(path))


def test_files_without_checksums_are_read(tmp_path):
    path = str(tmp_path / "a.pth")
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"w": torch.arange(5.0)}, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_checkpoint(path)["model"]["w"].tolist() == [0, 1, 2, 3, 4]


def test_archives_that_unpack_to_more_are_refused(tmp_path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps({}, 2))
        archive.writestr("a/data/0", bytes(10**6))
    with pytest.raises(CheckpointError, match="unpacks to more than it is"):
        read_checkpoint(str(path))


def test_tensors_that_repeat_a_number_without_end_are_refused(tmp_path):
    path = str(tmp_path / "a.pth")
    torch.save({"w": torch.ones(1).expand(2**40)}, path)
    with pytest.raises(CheckpointError, match="'w' is larger than the file"):
        read_checkpoint(path)
    torch.save({"w": torch.ones(1).expand(20)}, path)
    assert read_checkpoint(path)["model"]["w"].shape == (20,)


@pytest.mark.parametrize("trunk", [[1], {"depth": [18]}, {"pixel_mean": 3}, {"x": {"y": 1}}, "x"])
def test_descriptions_of_another_form_are_refused(tmp_path, trunk):
    path = str(tmp_path / "a.pth")
    torch.save({"model": {"w": torch.ones(1)}, "trunk": trunk}, path)
    with pytest.raises(CheckpointError, match=r"a\.pth: its description of the trunk is damaged"):
        read_checkpoint(path)
    save_file({"w": torch.ones(1)}, f"{path}.safetensors", metadata={"trunk": json.dumps(trunk)})
    with pytest.raises(CheckpointError, match="its description of the trunk is damaged"):
        read_checkpoint(f"{path}.safetensors")


def test_names_that_are_no_names_are_refused(tmp_path):
    path = str(tmp_path / "a.pth")
    torch.save({"model": {"w": torch.ones(1)}, "meta_architecture": ["DB"]}, path)
    with pytest.raises(CheckpointError, match="meta_architecture is not a name"):
        read_checkpoint(path)
    torch.save({"model": {"\ud800": torch.ones(1)}}, path)
    with pytest.raises(CheckpointError, match=r"a\.pth is damaged"):
        read_checkpoint(path)


def test_attributes_of_dicts_are_left_out(tmp_path):
    """They could replace its methods."""
    made = b"ccollections\nOrderedDict\n)R"
    attributes = b"}(" + b"".join(pickle.dumps(n, 2)[2:-1] + b"N" for n in ("get", "items", "keys"))
    content = made + b"X\x05\x00\x00\x00model" + made + attributes + b"ubs" + attributes + b"ub."
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + content)
        archive.writestr("a/version", "3\n")
        archive.writestr("a/byteorder", "little")
    assert torch.load(path).items is None
    assert read_checkpoint(str(path))["model"] == {}


def test_missing_files_are_missing(tmp_path):
    for name in ("a.pth", "a.pkl", "a.safetensors"):
        with pytest.raises(FileNotFoundError):
            read_checkpoint(str(tmp_path / name))
