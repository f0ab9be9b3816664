"""What the pretext tasks are given."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Generic, Protocol, Self, TypeVar

import torch


class Tokens(Protocol):
    """The texts of a batch, in whatever form a meta-architecture reads them."""

    @property
    def has_words(self) -> torch.Tensor:
        """(N,) bool: texts with at least one word."""
        ...

    @property
    def text_keys(self) -> torch.Tensor:
        """(N,) int64, equal where texts read the same to the encoder, nothing masked."""
        ...


TokensT = TypeVar("TokensT", bound=Tokens)


class MovedTogether:
    """A dataclass of tensors whose cached properties are tensors of them.

    What depends on values in its size, such as indices, makes a GPU wait. So it is computed before
    the move.
    """

    def to(self, device: torch.device) -> Self:
        """Return it on a device, with all cached properties."""
        moved = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in [
                *(field.name for field in fields(self)),  # type: ignore[arg-type]
                *(n for n, kind in vars(type(self)).items() if isinstance(kind, cached_property)),
            ]
        }
        copy = replace(self)  # type: ignore[type-var]
        vars(copy).update(moved)
        return copy


def places(mask: torch.Tensor) -> torch.Tensor:
    """Return the places of True in a mask of any shape, as indices into the flattened mask."""
    return mask.flatten().nonzero().squeeze(1)


@dataclass
class Encoded(Generic[TokensT]):
    """What both encoders made of a batch.

    Attributes:
        image: (N, 1 + S, d) visual tokens, [CLS] first.
        text: (N, K, d) vectors of the text.
        tokens: the texts.
    """

    image: torch.Tensor
    text: torch.Tensor
    tokens: TokensT

    def with_images_rolled(self) -> Self:
        """Pair every text with the next image of the batch: the shuffled-image control."""
        return replace(self, image=self.image.roll(-1, dims=0))


EncodedT = TypeVar("EncodedT", bound=Encoded[Any])


def hash_rows(ids: torch.Tensor) -> torch.Tensor:
    """Hash each row of ids to 64 bits, the same on every device and in every process.

    Args:
        ids: (..., L) int64; zeros at the end of a row change nothing.

    Returns:
        Tensor: (...) int64. Two different rows agree with a chance of about 2**-64.
    """
    places = torch.arange(1, ids.shape[-1] + 1, device=ids.device)
    # Pseudo-random odd factors: integers wrap around, so a row's sum is one of them modulo 2**64.
    return _mix((ids * (_mix(places) | 1)).sum(dim=-1))


def _mix(x: torch.Tensor) -> torch.Tensor:
    """Scramble int64 one to one (the finaliser of SplitMix64, with signed shifts)."""
    x = x * -0x61C8864680B583EB
    x = (x ^ (x >> 30)) * -0x40A7B892E31B1A47
    x = (x ^ (x >> 27)) * -0x6B2FB644ECCEEE15
    return x ^ (x >> 31)


def full_precision(x: torch.Tensor) -> torch.Tensor:
    """Return half-precision tensors as float32 and others as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
