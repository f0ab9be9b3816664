"""The attention probabilities of a model's own forward pass."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from .transformer import Attention

__all__ = ["recorded_attention"]


@contextmanager
def recorded_attention(modules: Iterable[Attention]) -> Iterator[list[torch.Tensor]]:
    """Keep the probabilities with which attention modules weigh their values.

    The model itself computes them: inside the context each module's
    ``nn.MultiheadAttention`` is asked for its weights too, which makes it use the formula
    softmax(Q K^T / sqrt(d)) V in place of a fused kernel that never has them in memory.

    Args:
        modules: of :class:`~.transformer.Attention`.

    Yields:
        A list that gets a float32 (or float64) tensor (N, heads, Q, M) for every call of one of
        the modules, in the order of the calls; its rows sum to 1.
    """
    recorded: list[torch.Tensor] = []

    def ask(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        return args, kwargs | {"need_weights": True, "average_attn_weights": False}

    def keep(module: nn.Module, args: tuple, output: tuple) -> None:
        weights = output[1].detach()
        recorded.append(weights.to(torch.promote_types(weights.dtype, torch.float32)))

    with ExitStack() as stack:
        for module in modules:
            inner = module.attention
            for handle in (
                inner.register_forward_pre_hook(ask, with_kwargs=True),
                inner.register_forward_hook(keep),
            ):
                stack.callback(handle.remove)
        yield recorded
