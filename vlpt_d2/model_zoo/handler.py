"""``vlpt://<model>`` as the name of a file: the zoo's weights, for detectron2's PathManager."""

from __future__ import annotations

from typing import IO, Any

from detectron2.utils.file_io import PathManager
from iopath.common.file_io import PathHandler

from .models import PREFIX, get_checkpoint

__all__ = ["ZooHandler"]


class ZooHandler(PathHandler):
    """Gives out the weights of :func:`~vlpt_d2.model_zoo.get_checkpoint`, for reading."""

    def _get_supported_prefixes(self) -> list[str]:
        return [PREFIX]

    def _get_local_path(self, path: str, force: bool = False, **kwargs: Any) -> str:
        return get_checkpoint(path.removeprefix(PREFIX))

    def _open(
        self, path: str, mode: str = "r", buffering: int = -1, **kwargs: Any
    ) -> IO[str] | IO[bytes]:
        if set(mode) & set("wxa+"):
            raise OSError(f"{path} is a model of the zoo, which is only read")
        return open(self._get_local_path(path), mode, buffering, **kwargs)

    def _isfile(self, path: str, **kwargs: Any) -> bool:
        try:
            self._get_local_path(path)
        except (OSError, ValueError):
            return False
        return True

    _exists = _isfile


PathManager.register_handler(ZooHandler())
