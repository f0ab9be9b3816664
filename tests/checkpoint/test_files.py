"""Weight files are read as data, never as code."""

import collections
import os
import pickle

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
    with pytest.raises(CheckpointError, match="trust where it comes from"):
        read_checkpoint(path)
    assert not trap.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_detectron2_pickles_are_read(tmp_path, protocol):
    path = str(tmp_path / "a.pkl")
    content = collections.OrderedDict(
        model={"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(3)},
        __author__="someone",
        matching_heuristics=True,
    )
    with open(path, "wb") as file:
        pickle.dump(content, file, protocol=protocol)
    read = read_checkpoint(path)
    assert read["__author__"] == "someone"
    assert torch.equal(read["model"]["w"], torch.arange(6.0).reshape(2, 3))
    assert read["model"]["n"].item() == 3


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
    with pytest.raises(CheckpointError, match=rf"broken\.{suffix}.*cut off|broken\.pkl"):
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
    with pytest.raises(CheckpointError, match=r"old\.pth cannot be read.*cut off"):
        read_checkpoint(str(path))


def test_what_is_no_checkpoint_is_told_by_what_it_holds(tmp_path):
    path = tmp_path / "page.pth"
    path.write_text("<!DOCTYPE html><html></html>")
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(str(path))
    assert "Unsupported operand 60" in str(caught.value) and "PyTorch 2.6" not in str(caught.value)
