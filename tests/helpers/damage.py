"""Random damage to the bytes of a file."""

import random

JUNK = [b"\xff", b"\x00", b"\n", b",", b'"', b"[", b"-", b"1e999", b"NaN", b"\xe4\xb8", b"#", b"<"]


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
