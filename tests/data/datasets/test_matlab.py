"""The reader of MATLAB files against scipy's, which writes them."""

import struct
import tracemalloc

import numpy as np
import pytest
import scipy.io

from vlpt_d2.data.datasets.ground_truth import GroundTruthError
from vlpt_d2.data.datasets.matlab import MatFile

rng = np.random.default_rng(0)


def cell(*values, shape=None):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape or (1, -1))


VARIABLES = {
    "f8": rng.normal(size=(3, 4)),
    "f4": rng.normal(size=(2, 4, 3)).astype(np.float32),
    "i2": rng.integers(-300, 300, (1, 9)).astype(np.int16),
    "u1": rng.integers(0, 255, (5, 1)).astype(np.uint8),
    "i8": rng.integers(-(2**60), 2**60, (2, 2)),
    "u8": rng.integers(0, 2**60, (1, 2)).astype(np.uint64),
    "empty": np.zeros((0, 0)),
    "scalar": np.array([[7.0]]),
    "word": np.array(["Genaxis"]),
    "rows": np.array(["Lines:\nI lost", "a            ", "中 é          "]),
    "cells": cell(np.zeros((2, 4)), np.array(["x:"]), np.zeros((0, 0)), shape=(3, 1)),
    "nested": cell(cell(np.array(["a"]), np.ones((1, 2))), np.array(["longer than it"])),
    "a_long_name_of_a_variable": np.arange(6.0).reshape(2, 3),
}


def assert_equal(ours, theirs):
    if theirs.dtype == object:
        assert ours.shape == theirs.shape
        for a, b in zip(ours.ravel(), theirs.ravel(), strict=True):
            assert_equal(a, b)
    elif theirs.size == 0:
        assert ours.size == 0
    else:
        assert ours.shape == theirs.shape
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("compressed", [False, True])
def test_reads_what_scipy_reads(tmp_path, compressed):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, VARIABLES, do_compression=compressed)
    theirs = scipy.io.loadmat(path)
    ours = MatFile(path)
    assert ours.names == list(VARIABLES)
    for name in VARIABLES:
        assert_equal(ours.read(name), theirs[name])
    assert_equal(np.array(list(ours.cells("cells")), dtype=object)[:1], theirs["cells"].ravel()[:1])
    assert len(list(ours.cells("cells"))) == 3
    with pytest.raises(GroundTruthError, match="f8 is not a cell array"):
        list(ours.cells("f8"))


def test_structs_and_newer_versions_are_refused(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"s": {"field": 1}})
    with pytest.raises(GroundTruthError, match=r"a\.mat: .*array of class 2"):
        MatFile(path).read("s")
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF")
    with pytest.raises(GroundTruthError, match="-v7"):
        MatFile(path)
    for content in (b"", b"text", b"x" * 4000):
        path.write_bytes(content)
        with pytest.raises(GroundTruthError, match="no MATLAB file"):
            MatFile(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_is_an_error_or_other_content_never_another_exception(tmp_path, compressed):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, VARIABLES, do_compression=compressed)
    content = path.read_bytes()
    errors = 0
    for _ in range(400):
        data = bytearray(content)
        for at in rng.integers(128, len(data), 4):
            data[at] = rng.integers(256)
        path.write_bytes(data[: rng.integers(len(data) // 2, 2 * len(data))])
        try:
            file = MatFile(path)
            for name in file.names:
                file.read(name)
        except GroundTruthError:
            errors += 1
    assert errors > 200


def test_a_bomb_is_refused_before_it_is_inflated(tmp_path):
    path = tmp_path / "bomb.mat"
    scipy.io.savemat(path, {"gt": np.zeros(2**23)}, do_compression=True)  # 64 MiB in 64 KiB
    assert path.stat().st_size < 2**17
    tracemalloc.start()
    file = MatFile(path)
    for decode in (file.read, file.length, lambda name: next(file.cells(name))):
        with pytest.raises(GroundTruthError, match=r"bomb\.mat: .* it (is|inflates) "):
            decode("gt")
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


@pytest.mark.parametrize(
    "shape", [(0, 2**30, 2**30, 2**30), (0,) * 100, (2**31 - 1, 0, 2**31 - 1), (-1, 6), (3,)]
)
def test_shapes_that_no_array_has(tmp_path, shape):
    path = tmp_path / "gt.mat"
    scipy.io.savemat(path, {"gt": np.zeros((0, 6))})
    whole = path.read_bytes()
    # After header, element tag and flags (8 + 8): the dimensions, padded to 8 bytes.
    at = 128 + 8 + 16
    dimensions = struct.pack(f"<II{len(shape)}i", 5, 4 * len(shape), *shape)
    dimensions += bytes(-len(dimensions) % 8)
    body = whole[136:at] + dimensions + whole[at + 16 :]
    path.write_bytes(whole[:128] + struct.pack("<II", 14, len(body)) + body)
    with pytest.raises(GroundTruthError, match=r"gt\.mat: .*damaged \(an array of shape"):
        MatFile(path).read("gt")
