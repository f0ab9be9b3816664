"""Random damage to files: to bytes, to the numbers of a text, to the values of JSON."""

import json
import random
import re
from typing import Any

JUNK = [b"\xff", b"\x00", b"\n", b",", b'"', b"[", b"-", b"1e999", b"NaN", b"\xe4\xb8", b"#", b"<"]
#: What a number may turn into: huge, tiny, of other scripts, in Python's syntax only, of no kind.
NUMBERS = [
    "9" * 5000,
    "1e400",
    "-1e300",
    "0",
    "-1",
    "1_0",
    "٣",
    "²",
    "0x10",
    "nan",
    "-inf",
    "1e-320",
]
NUMBERS += ["4294967296", "20000", "", "true", '"7"', "1.5"]
VALUES = [
    None,
    True,
    0,
    -1,
    10**30,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "###",
    "\0",
    "\ud800",
    "a/b",
]
VALUES += [[], {}, [1], [[]], [[[]]], {"a": 1}, "../x", "9" * 400, 2**31, 2**63]


def damage(content: bytes, rng: random.Random) -> bytes:
    """A few random edits: bytes flipped, cut out, repeated, inserted, or the end cut off."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at, length = rng.randrange(len(data) + 1), rng.randint(1, 12)
        kind = rng.randrange(5)
        if kind == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at:at] = data[at : at + length]
        elif kind == 3:
            data[at:at] = rng.choice(JUNK)
        else:
            del data[at:]
    return bytes(data)


def damage_text_or_bytes(content: bytes, suffix: str, rng: random.Random) -> bytes:
    """Damage that suits the kind of file, or any bytes of it."""
    kind = rng.randrange(4)
    if suffix == ".json" and kind < 2:
        return damage_json(content, rng)
    if suffix != ".mat" and kind == 2:
        return damage_numbers(content, rng)
    if suffix != ".mat" and kind == 3 and rng.random() < 0.3:
        return repeat_part(content, rng)
    return damage(content, rng)


def damage_numbers(content: bytes, rng: random.Random) -> bytes:
    """One number in the text becomes another, perhaps of a kind that no format knows."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", content))
    if not found:
        return damage(content, rng)
    place = rng.choice(found)
    return content[: place.start()] + rng.choice(NUMBERS).encode() + content[place.end() :]


def repeat_part(content: bytes, rng: random.Random) -> bytes:
    """A short part, perhaps one blank, becomes thousands: what makes careless expressions slow."""
    at = rng.randrange(len(content) + 1)
    part = rng.choice([b" ", b"\t", b",", b"[[", b'"', content[at : at + rng.randint(1, 12)]])
    return content[:at] + part * rng.choice([900, 5000]) + content[at:]


def damage_json(content: bytes, rng: random.Random) -> bytes:
    """One value, or key, of the tree becomes another, goes missing, or occurs twice."""
    tree = json.loads(content)
    places = list(_places(tree))
    # An image of another set is none of this one, and that is not damage.
    places = [(parent, key) for parent, key in places if key != "set"]
    parent, key = rng.choice(places)
    kind = rng.randrange(6)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[rng.choice(["", "0", "x", "\ud800"])] = parent.pop(key)
    elif kind == 1:
        parent.insert(0, parent[key])
    elif kind == 2:
        other, name = rng.choice(places)
        parent[key] = json.loads(json.dumps(other[name]))
    else:
        parent[key] = rng.choice(VALUES)
    return json.dumps(tree).encode()


def _places(tree: Any):
    keys = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield tree, key
        yield from _places(tree[key])
