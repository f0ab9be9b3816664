"""From the command line to a frozen config, logging, seeds and threads."""

import argparse
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from detectron2.config import CfgNode
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import seed_all_rng
from detectron2.utils.file_io import PathManager
from detectron2.utils.logger import setup_logger
from detectron2.utils.registry import Registry

from ..config import get_cfg, with_values
from ..config.settings import settings
from ..data.datasets.from_config import register_from_config
from ..utils.atomic import write_text
from ..utils.locks import lock_folder
from ..utils.nearest import did_you_mean
from .ranges import check_values
from .threads import set_threads

__all__ = ["ConfigError", "config_faults", "load_config", "setup", "write_config"]

logger = logging.getLogger(__name__)

# How yacs begins; then come the values, which may be all keys of a group.
_TYPE_MISMATCH = re.compile(
    r"Type mismatch \(<class '(?:\w+\.)*(\w+)'> vs. <class '(?:\w+\.)*(\w+)'>"
)
# A key in a message.
_KEY = re.compile(r"\b[A-Z]\w*\.[A-Z]\w*")
_LOGGERS = ("fvcore", "detectron2", "vlpt_d2")


class ConfigError(ValueError):
    """A config file or an option cannot be used; the message names the place and the fix."""

    exit_status = 2


@contextmanager
def config_faults(cfg: CfgNode) -> Iterator[None]:
    """Report what cannot be built from a config as a :class:`ConfigError`, with its key.

    Args:
        cfg: the config that is built from within the context.

    Raises:
        ConfigError: a value does not fit, or nothing is registered under a name.
    """
    try:
        yield
    except ConfigError:
        raise
    except (KeyError, ValueError) as error:
        raise ConfigError(_with_key(error, cfg)) from error


def load_config(config_file: str = "", opts: Sequence[str] = ()) -> CfgNode:
    """Read a config; where there is no GPU it runs on the CPU.

    Args:
        config_file: a path, or the name of a config that comes with the package; "" for none.
            YAML is read by the safe loader; ``_BASE_`` is followed.
        opts: "KEY value" pairs on top, as on the command line.

    Returns:
        The frozen config.

    Raises:
        ConfigError: no such file, bad YAML, an unknown key, or a value that makes no sense.
    """
    cfg = get_cfg()
    if config_file:
        path = _find(config_file)
        try:
            cfg.merge_from_file(path)
        # Whatever yacs and detectron2 fail with, it is the file's content.
        except Exception as error:
            message = _explain(error, cfg)
            named = message if message.startswith(path) else f"{path}: {message}"
            raise ConfigError(named) from error
    if len(opts) % 2:
        raise ConfigError(
            f"options come in pairs, KEY value; there are {len(opts)}: {' '.join(opts)}"
        )
    try:
        cfg.merge_from_list(list(opts))
    except Exception as error:
        raise ConfigError(f"in the options: {_explain(error, cfg, opts[::2])}") from error
    try:
        device = torch.device(cfg.MODEL.DEVICE)
    except RuntimeError as error:
        raise ConfigError(
            f"MODEL.DEVICE is {cfg.MODEL.DEVICE!r}; it must be cuda, cuda:<number> or cpu"
        ) from error
    if not torch.cuda.is_available() and device.type == "cuda":
        cfg.MODEL.DEVICE = "cpu"
    try:
        check_values(cfg)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    cfg.freeze()
    return cfg


def setup(args: argparse.Namespace) -> CfgNode:
    """Load the config and set up one process: log files, seeds, threads.

    Can be called again in the same process: the log goes to the new OUTPUT_DIR alone.

    Args:
        args: of :func:`~.arguments.argument_parser`.

    Returns:
        The frozen config; a negative SEED has become the one that was drawn.

    Raises:
        FolderInUseError: another process trains in OUTPUT_DIR.
    """
    cfg = load_config(args.config_file, args.opts)
    register_from_config(cfg)
    if cfg.SEED < 0:
        seed = comm.all_gather(int.from_bytes(os.urandom(4), "little") >> 1)[0]
        cfg = with_values(cfg, {"SEED": seed})
    rank = comm.get_rank()
    if comm.is_main_process() and cfg.OUTPUT_DIR:
        PathManager.mkdirs(cfg.OUTPUT_DIR)
        if not args.eval_only:
            # The trainer takes the lock; here another one's log is kept from this one's lines.
            with lock_folder(cfg.OUTPUT_DIR):
                pass
    comm.synchronize()
    _start_logging(cfg.OUTPUT_DIR, rank)
    threads = set_threads(cfg)
    logger.info(
        "process %d of %d on %s with %d threads", rank, comm.get_world_size(), cfg.MODEL.DEVICE,
        threads,
    )  # fmt: skip
    logger.info("arguments: %s", " ".join(sys.argv[1:]))
    if comm.is_main_process():
        logger.debug("environment:\n%s", collect_env_info())
        logger.debug("config:\n%s", cfg.dump())
    seed_all_rng((cfg.SEED + rank) % 2**32)
    torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK and not args.eval_only
    return cfg


def write_config(cfg: CfgNode) -> None:
    """Write the config to ``config.yaml`` in OUTPUT_DIR, if there is one; for the main process."""
    if not cfg.OUTPUT_DIR:
        return
    PathManager.mkdirs(cfg.OUTPUT_DIR)
    write_text(os.path.join(cfg.OUTPUT_DIR, "config.yaml"), cfg.dump())


def _find(config_file: str) -> str:
    if PathManager.isfile(config_file):
        return config_file
    from ..model_zoo import get_config_file

    try:
        return get_config_file(config_file)
    except FileNotFoundError as error:
        raise ConfigError(str(error)) from error


def _explain(error: Exception, cfg: CfgNode, given: Sequence[str] = ()) -> str:
    if isinstance(error, OSError):
        return str(error)
    # A KeyError's text is quoted; its argument is not.
    message = str(error.args[0]) if error.args else repr(error)
    prefix, _, key = message.rpartition("key: ")
    if types := _TYPE_MISMATCH.match(message):
        wanted, given = ("group of keys" if t == "CfgNode" else t for t in types.groups())
        example = ", such as \"('a', 'b')\" or \"('a',)\"" if wanted == "tuple" else ""
        return f"{key} is a {given}; it must be a {wanted}{example}"
    if not key or not prefix.startswith("Non-existent"):
        return message
    # For options yacs names the last part alone.
    full = next((k for k in given if key in k.split(".")), key)
    known = list(_keys(cfg))
    hint = did_you_mean(full, known) or did_you_mean(full, {k.rsplit(".", 1)[-1] for k in known})
    return f"there is no key {full}{hint}"


def _with_key(error: Exception, cfg: CfgNode) -> str:
    """The message of an error, after the keys whose value it quotes if it names none."""
    message = str(error.args[0]) if error.args else repr(error)
    if _KEY.search(message):
        return message
    # Of a registry of detectron2, of this package or of a plugin.
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if isinstance(registry := frame.f_locals.get("self"), Registry):
        name = frame.f_locals["name"]
        known = sorted(known for known, _ in registry)
        # A name, or one in a list of them.
        flat = settings(cfg).items()
        keys = [key for key, value in flat if value == name or repr(name) in value]
        hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
        return f"{', '.join(keys) or 'a name'} is {name!r}, which is not registered{hint}"
    # "unknown name: x", or the bare key of a dict.
    quoted = {*re.findall(r"'([^']*)'", message), message.split(": ")[-1]}
    keys = [key for key, value in settings(cfg).items() if value and value in quoted]
    if " " not in message:
        message = f"{message!r} is not known"
    return f"{', '.join(keys)}: {message}" if keys else message


def _keys(node: CfgNode, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield prefix + key
        if isinstance(value, CfgNode):
            yield from _keys(value, f"{prefix}{key}.")


def _start_logging(folder: str, rank: int) -> None:
    # detectron2 adds handlers with every new folder and never takes one away.
    for name in _LOGGERS:
        for handler in list(logging.getLogger(name).handlers):
            logging.getLogger(name).removeHandler(handler)
    setup_logger.cache_clear()
    for name in _LOGGERS:
        setup_logger(folder or None, distributed_rank=rank, name=name)
        # The file has everything; the screen what one reads. Errors get there as one message.
        for handler in logging.getLogger(name).handlers:
            if getattr(handler, "stream", None) is sys.stdout:
                handler.setLevel(logging.INFO)
                handler.addFilter(lambda record: not record.exc_info)
