"""Running the same forward pass twice without batch norms counting it twice."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Leave the running statistics of every batch norm of ``module`` as they are.

    Normalisation itself is unchanged: in training mode the batch's own statistics are used.
    """
    before = [
        (m, m.momentum, m.num_batches_tracked, m.num_batches_tracked.clone())
        for m in module.modules()
        if isinstance(m, _BatchNorm) and m.num_batches_tracked is not None
    ]
    for norm, *_ in before:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, tracked, count in before:
            norm.momentum = momentum
            tracked.copy_(count)


def recompute_contexts(module: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
    """Contexts of the first pass and of the recomputation for ``torch.utils.checkpoint``."""
    return nullcontext(), frozen_statistics(module)
