"""Pickles that ask for more than plain data: none may crash the process or take its memory."""

import io
import pickle
import struct

import numpy as np
import pytest

from vlpt_d2.checkpoint import CheckpointError, read_checkpoint
from vlpt_d2.checkpoint.unpickling import ArrayUnpickler

# Parts of pickles, which leave one object on the stack each.
ENCODE = b"c_codecs\nencode\n"
RECONSTRUCT = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t"
NDARRAY = b"cnumpy\nndarray\n"


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value):
    return pickle.dumps(value, 2)[2:-1]


def items(*parts):
    return b"(" + b"".join(parts) + b"t"


def call(function, *parts):
    return function + items(*parts) + b"R"


def raw(value):
    return call(ENCODE, text(value), text("latin1"))


def dtype(code, *state):
    return call(b"cnumpy\ndtype\n", text(code), b"\x89", b"\x88") + (
        items(*state) + b"b" if state else b""
    )


def plain_dtype(code="f8", order="<"):
    return dtype(code, number(3), text(order), b"NNN", number(-1), number(-1), number(0))


def array(shape, kind, data, fortran=b"\x89"):
    state = items(number(1), items(*map(number, shape)), kind, fortran, data)
    return RECONSTRUCT + raw("b") + b"tR" + state + b"b"


def weights(value):
    return b"\x80\x02}" + text("model") + b"}" + text("w") + value + b"ss."


EIGHT = raw("A" * 8)
FIELD = b"}" + text("a") + items(dtype("O8"), number(0)) + b"s"
HOSTILE = {
    "objects": array([1], dtype("O8"), EIGHT),
    "objects made with ndarray": call(NDARRAY, items(number(1)), text("O"), EIGHT),
    "no content": call(NDARRAY, items(number(1000)), text("f8")),
    "terabytes": call(NDARRAY, items(number(2**40)), text("f8")),
    "strides": call(NDARRAY, items(number(4)), text("f8"), EIGHT, number(0), items(number(2**40))),
    "a shape that overflows": array([2**62, 4], plain_dtype(), EIGHT),
    "a shape too large": array([9], plain_dtype(), EIGHT),
    "a negative shape": array([-1, -1], plain_dtype(), EIGHT),
    "another size of its items": array(
        [8], dtype("f8", number(3), text("<"), b"NNN", number(1), number(1), number(0)), EIGHT
    ),
    "objects in fields": array(
        [1],
        dtype(
            "V8", number(3), text("|"), b"N", items(text("a")), FIELD, number(8), number(1), b"K?"
        ),
        EIGHT,
    ),
    "a record in a number": array(
        [1],
        dtype("f8", number(3), text("<"), b"N", items(text("a")), FIELD, b"K\x08K\x01K?"),
        EIGHT,
    ),
    "a number of objects": call(
        b"cnumpy._core.multiarray\nscalar\n",
        dtype("O8", number(3), text("|"), b"NNN", number(-1), number(-1), number(63)),
        EIGHT,
    ),
    "an array of another class": call(RECONSTRUCT[:-12] + b"cos\nsystem\n(K\x00t", raw("b")),
    "an array without a state": RECONSTRUCT + raw("b") + b"tR",
    "a state for a function": b"c_codecs\nencode\n}" + text("x") + b"K\x01sb",
    "a state for a class": b"cnumpy\ndtype\n(N}" + text("__init__") + b"K\x01stb",
    "an array as a dict of objects": call(
        b"ccollections\nOrderedDict\n", call(NDARRAY, items(number(1)), text("O"), EIGHT)
    ),
    "items of an array": array([1], plain_dtype(), EIGHT) + number(0) + number(7) + b"s",
    "one string many times": b"("
    + raw("A" * 80_000)
    + b"q\x07"
    + b"".join(array([10_000], plain_dtype(), b"h\x07") for _ in range(1000))
    + b"l",
    "bytes many times": b"("
    + text("A" * 80_000)
    + b"q\x07"
    + call(ENCODE, b"h\x07", text("latin1")) * 1000
    + b"l",
    "a memo of gigabytes": b"Nr\xff\xff\xff\x7f",
    "a byte array of gigabytes": b"\x96" + struct.pack("<Q", 2**36),
    "nested tuples as a key": b"}" + b")" + b"\x85" * 50_000 + b"Ns",
    "nested tuples in a set": b"\x8f(" + b")" + b"\x85" * 50_000 + b"\x90",
    "nested tuples as pairs": call(
        b"ccollections\nOrderedDict\n", b"(" + items(b")" + b"\x85" * 50_000, b"N") + b"l"
    ),
    "a name that colours the terminal": b"c\x1b[31mos\n" + b"x" * 10_000 + b"\n",
    "ten million digits": b"L" + b"9" * 10_000_000 + b"L\n",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_pickles_are_refused(tmp_path, case):
    path = tmp_path / "weights.pkl"
    path.write_bytes(weights(HOSTILE[case]))
    with pytest.raises(CheckpointError, match=r"weights\.pkl") as caught:
        read_checkpoint(str(path))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600


def test_the_pieces_make_arrays(tmp_path):
    """Else the hostile ones could be refused for another reason than theirs."""
    path = tmp_path / "weights.pkl"
    for order in "<>":
        data = np.array([[1.0, 2.0], [3.0, 4.0]], f"{order}f8").tobytes().decode("latin1")
        for fortran, expected in ((b"\x89", [[1, 2], [3, 4]]), (b"\x88", [[1, 3], [2, 4]])):
            kind = plain_dtype(order=order)
            path.write_bytes(weights(array([2, 2], kind, raw(data), fortran)))
            assert read_checkpoint(str(path))["model"]["w"].tolist() == expected


def test_numpy_scalars_are_read():
    for protocol in range(6):
        data = pickle.dumps({"iteration": np.float32(2.5), "n": np.int64(7)}, protocol)
        read = ArrayUnpickler(io.BytesIO(data), len(data)).load()
        assert (read["iteration"], read["n"]) == (2.5, 7)
