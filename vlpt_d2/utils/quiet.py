"""Warnings of libraries that a user can do nothing about."""

import logging
import warnings

__all__ = ["hide_library_warnings"]


def hide_library_warnings() -> None:
    """Hide two warnings that importing detectron2 gives with a recent torch and without a GPU, and
    Pillow's of large images, which are read up to twice that size.
    """
    warnings.filterwarnings("ignore", r"Image size \(\d+ pixels\) exceeds limit")
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
    logging.getLogger("torch.utils.cpp_extension").addFilter(
        lambda record: "No CUDA runtime is found" not in record.getMessage()
    )
