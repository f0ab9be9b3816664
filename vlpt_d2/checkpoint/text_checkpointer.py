"""Loading weights into models, saying what fits, and saving runs."""

import logging
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from fvcore.common.checkpoint import _IncompatibleKeys
from torch import nn

from ..utils.atomic import replacing, write_text
from .errors import CheckpointError
from .files import read_checkpoint
from .metadata import describe_trunk, trunk_mismatches
from .resnet_formats import TRUNK_PREFIX, trunk_layout

__all__ = ["TextCheckpointer"]

logger = logging.getLogger(__name__)

# The file that names the checkpoint to resume from.
_LAST = "last_checkpoint"
# Those that are saved by period, by the number of their last step.
_PERIODIC = re.compile(r"model_\d{7}\.pth$")
# Counts the batches of a batch norm; in no released weights, and of no use.
_COUNTER = "num_batches_tracked"
# In the names of what deformable convolutions have in addition to plain ones.
_OFFSET = ".conv2.offset."
# What two meta-architectures have in common besides the trunk, if they are built alike.
_SHARED: dict[frozenset[str | None], str] = {
    frozenset({"VLPTWithDetection", "TextDetector"}): "text_head."
}


class TextCheckpointer(DetectionCheckpointer):
    """Saves runs, and loads weights that fit the model as a whole or by their trunk.

    - A file of the same meta-architecture loads name by name.
    - A file of another one gives ``backbone.bottom_up.*``, its ResNet, and nothing else (but
      VLPTWithDetection gives a detector with the same head its head too). So does a trunk file,
      and a ResNet in the names of any project of docs/checkpoints.md.
    - The trunk that a file records (depth, width, stride, pixels …) must be the config's.
    - Files are read without running code that they may carry.
    - A run resumes from the file that ``last_checkpoint`` names, or from the newest sound one
      where that one is damaged or gone.

    Attributes:
        resumed_from: the file that the run was resumed from; "" for none.
        average: weights that are saved in place of the model's of the same names.
        missing: names of the model's weights that the file loaded last did not fill.
        misshapen: those of them that the file has in another shape.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        cfg: CfgNode | None = None,
        save_to_disk: bool | None = None,
        needed: str = "",
        **checkpointables: Any,
    ):
        """
        Args:
            model: to load into and to save.
            save_dir: folder of the checkpoints.
            cfg: describes the model's trunk; without it nothing is compared or recorded.
            save_to_disk: only in the main process if not given.
            needed: beginning of the names of weights that a file must have besides a trunk, if the
                model has some.
            checkpointables: further objects to save and load, such as the trainer.
        """
        super().__init__(model, save_dir, save_to_disk=save_to_disk, **checkpointables)
        self.logger = logger
        self._architecture = type(self.model).__name__
        has_trunk = any(k.startswith(TRUNK_PREFIX + "stem.") for k in self.model.state_dict())
        self._trunk = describe_trunk(cfg) if cfg is not None and has_trunk else None
        self._resuming = False
        self.resumed_from = ""
        self.average: Mapping[str, torch.Tensor] = {}
        self._needed = needed
        self.missing: set[str] = set()
        self.misshapen: set[str] = set()

    def save(self, name: str, *, tag: bool = True, **kwargs: Any) -> None:
        """Write ``<name>.pth``: weights, checkpointables, the trunk's description.

        The file appears whole or not at all, and takes the place of another one only when it is
        on the disk.

        Args:
            name: without suffix.
            tag: whether it becomes the checkpoint that resuming starts from.
            kwargs: plain values to save too.

        Raises:
            FloatingPointError: a parameter or a buffer is not finite. Nothing is written.
            OSError: the file cannot be written; its name is in the error.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        path = os.path.join(self.save_dir, f"{name}.pth")
        # A plain dict: torch's carries module versions that FrozenBatchNorm2d misreads.
        weights = {**self.model.state_dict(), **self.average}
        _check_finite(weights, path)
        data: dict[str, Any] = {
            "model": weights,
            "meta_architecture": self._architecture,
            "__author__": "vlpt_d2",
        }
        if self._trunk is not None:
            data["trunk"] = self._trunk
        data.update({key: obj.state_dict() for key, obj in self.checkpointables.items()})
        data.update(kwargs)
        logger.info("saving %s", path)
        with replacing(path) as file:
            torch.save(data, file)
        if tag:
            self.tag_last_checkpoint(os.path.basename(path))

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        """Note the file that resuming starts from; the note appears whole or not at all."""
        write_text(os.path.join(self.save_dir, _LAST), last_filename_basename)

    def has_checkpoint(self) -> bool:
        """Whether the folder is of a run that has saved something to resume from."""
        return bool(self.save_dir) and os.path.isfile(os.path.join(self.save_dir, _LAST))

    def get_checkpoint_file(self) -> str:
        """The file that resuming starts from: the last one, or the newest sound one.

        Returns:
            Its path; "" where nothing was saved.

        Raises:
            CheckpointError: no file is sound.
        """
        return self._find_checkpoint()[0] if self.has_checkpoint() else ""

    def resume_or_load(self, path: str, *, resume: bool = True) -> dict[str, Any]:
        """Resume from :meth:`get_checkpoint_file` if asked and there is one; else load weights.

        Returns:
            What else the file holds.

        Raises:
            CheckpointError: see :meth:`load`, or no checkpoint is sound.
        """
        if not (resume and self.has_checkpoint()):
            return self.load(path, checkpointables=[])
        self.resumed_from, checkpoint = self._find_checkpoint()
        return self._take_over(self.resumed_from, checkpoint, None)

    def _find_checkpoint(self) -> tuple[str, dict[str, Any]]:
        """The checkpoint to resume from: its path and its content."""
        folder = Path(self.save_dir)
        name = (folder / _LAST).read_text("utf-8", errors="replace").strip()
        # Another run's folder would be read if it named a path.
        named = folder / os.path.basename(name) if name else None
        fault = f"{folder / _LAST} is empty"
        if named is not None:
            try:
                return str(named), self._read_run(named)
            except CheckpointError as error:
                fault = str(error)
        # Later ones are of another run that the folder held before.
        last = int(named.stem[6:]) if named is not None and _PERIODIC.match(named.name) else None
        found = [
            (path, checkpoint)
            for path, checkpoint in self._sound_checkpoints(named, last)
            if last is None or checkpoint["iteration"] < last
        ]
        if not found:
            raise CheckpointError(
                f"no checkpoint in {folder} can be resumed from: {fault}. Start without --resume, "
                f"or remove {folder / _LAST}"
            )
        path, checkpoint = max(found, key=lambda pair: pair[1]["iteration"])
        logger.warning(
            "%s. Resuming from the newest sound checkpoint instead: %s, after %d steps",
            fault,
            path,
            checkpoint["iteration"] + 1,
        )
        return str(path), checkpoint

    def _sound_checkpoints(
        self, but: Path | None, last: int | None
    ) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The newest sound one of those saved by period, and the final and the best if sound."""
        folder = Path(self.save_dir)
        periodic = sorted(
            (
                path
                for path in folder.glob("model_*.pth")
                if _PERIODIC.match(path.name) and (last is None or int(path.stem[6:]) < last)
            ),
            reverse=True,
        )
        for paths in (periodic, [folder / "model_final.pth"], [folder / "model_best.pth"]):
            for path in paths:
                if path == but or not path.is_file():
                    continue
                try:
                    yield path, self._read_run(path)
                except CheckpointError as error:
                    logger.warning("%s", error)
                    continue
                break

    def _read_run(self, path: Path) -> dict[str, Any]:
        if not path.is_file():
            raise CheckpointError(f"{path} is not there")
        checkpoint = read_checkpoint(str(path))
        lacking = [key for key in ("iteration", *self.checkpointables) if key not in checkpoint]
        if lacking:
            raise CheckpointError(f"{path} is not a checkpoint of a run: it has no {lacking[0]}")
        return checkpoint

    def load(self, path: str, checkpointables: list[str] | None = None) -> dict[str, Any]:
        """Load weights, and checkpointables too where resuming.

        Args:
            path: a file or what detectron2's ``PathManager`` understands; "" for nothing.
            checkpointables: names to load; None: all, as resuming does.

        Returns:
            What else the file holds.

        Raises:
            FileNotFoundError: no such file.
            CheckpointError: the file cannot be read safely or does not fit.
        """
        if not path:
            logger.info("no weights given: starting from the initial ones")
            return {}
        try:
            local = self.path_manager.get_local_path(path.removesuffix("?matching_heuristics=True"))
        # Downloads raise OSErrors; iopath retries and raises the others.
        except Exception as error:
            if "://" not in path:
                raise
            raise CheckpointError(
                f"{path} cannot be downloaded ({error}). Download it elsewhere and set "
                "MODEL.WEIGHTS to the file, or to '' to start from random weights"
            ) from error
        if not os.path.isfile(local):
            found = f"{path} is a folder" if os.path.isdir(local) else f"no checkpoint {path}"
            raise FileNotFoundError(
                f"{found}; set MODEL.WEIGHTS to a file that exists, or to '' to start "
                "from random weights"
            )
        content = read_checkpoint(local)
        base = str(content.pop("base", ""))
        if base.startswith("vlpt://"):  # else a file could have any other read
            rest = read_checkpoint(self.path_manager.get_local_path(base))["model"]
            content["model"] = rest | content["model"]
        return self._take_over(path, content, checkpointables)

    def _take_over(
        self, path: str, checkpoint: dict[str, Any], checkpointables: list[str] | None
    ) -> dict[str, Any]:
        logger.info("loading %s", path)
        self._resuming = checkpointables is None and bool(self.checkpointables)
        try:
            self._refuse_other(path, checkpoint)
            self._load_model(checkpoint)
            for key in self.checkpointables if checkpointables is None else checkpointables:
                if key in checkpoint:
                    self.checkpointables[key].load_state_dict(checkpoint.pop(key))
        finally:
            self._resuming = False
        return checkpoint

    def _refuse_other(self, path: str, checkpoint: dict[str, Any]) -> None:
        """Refuse a file of another kind of model, before its trunk is compared with the config."""
        source, needed = checkpoint["model"], self._needed
        if not needed or not any(name.startswith(needed) for name in self.model.state_dict()):
            return
        if any(name.startswith(needed) for name in source) or trunk_layout(source) is None:
            return
        kind = checkpoint.get("meta_architecture")
        held = f"is a checkpoint of {kind} and has" if kind else "holds a trunk but"
        raise CheckpointError(
            f"{path} {held} no {needed}*, which is needed: name a checkpoint of "
            f"{self._architecture}"
        )

    def _load_model(self, checkpoint: dict[str, Any]) -> _IncompatibleKeys:
        source = checkpoint.pop("model")
        target = self.model.state_dict()
        names, recorded = self._select(source, target, checkpoint)
        self._compare_trunks(recorded, names)
        shapes = {ours: tuple(source[theirs].shape) for ours, theirs in names.items()}
        misshapen = [
            (name, shape, tuple(target[name].shape))
            for name, shape in shapes.items()
            if name in target and shape != target[name].shape
        ]
        wrong = {name for name, _, _ in misshapen}
        fitting = {k: source[v] for k, v in names.items() if k in target and k not in wrong}
        used = {theirs for ours, theirs in names.items() if ours in target}
        unused = [k for k in source if k not in used and not k.endswith(_COUNTER)]
        missing = [
            k for k in target if k not in fitting and k not in wrong and not k.endswith(_COUNTER)
        ]
        self._refuse_trunk(shapes, target, misshapen)
        if not fitting:
            raise CheckpointError(
                f"the file shares no weight with {self._architecture}: it has {len(source)} "
                f"tensors such as {next(iter(source), 'none')}, the model {len(target)} such as "
                f"{next(iter(target))}. It is of another architecture; choose another "
                "MODEL.WEIGHTS, or the config it was trained with"
            )
        if self._resuming and (missing or unused or misshapen):
            other = next(iter([*missing, *unused, *wrong]))
            raise CheckpointError(
                f"the checkpoint is of another model, so the run cannot be resumed: {len(missing)} "
                f"of the model's weights are not in it, {len(unused)} of its are not in the "
                f"model, {len(misshapen)} have another shape (such as {other}). Use the run's own "
                "config, another OUTPUT_DIR, or no --resume"
            )
        self.model.load_state_dict(fitting, strict=False)
        self.missing, self.misshapen = {*missing, *wrong}, wrong
        self._report(fitting, missing, unused, misshapen)
        return _IncompatibleKeys(missing, unused, misshapen)

    def _select(
        self,
        source: dict[str, torch.Tensor],
        target: dict[str, torch.Tensor],
        checkpoint: dict[str, Any],
    ) -> tuple[dict[str, str], dict[str, Any] | None]:
        """The weights that may go into this model, our names to the file's, and their trunk."""
        recorded = checkpoint.get("trunk")
        architecture = checkpoint.get("meta_architecture")
        everything = {name: name for name in source}
        if architecture == self._architecture or (layout := trunk_layout(source)) is None:
            return everything, recorded
        source.update((layout.names[k], source[layout.names[k]] / 2) for k in layout.halved)
        if architecture is None and layout.kind == "vlpt_d2":
            # A trunk file, or one of detectron2's: what has the same name is the same.
            trunk = set(layout.names.values())
            return {k: k for k in source if k not in trunk} | layout.names, recorded
        shared = self._shared(architecture, source, target)
        logger.info(
            "%s: %s taken, as %s",
            f"a checkpoint of {architecture}"
            if architecture
            else f"a file with the names of {layout.kind}",
            "its ResNet and its text head are" if shared else "only its ResNet is",
            TRUNK_PREFIX + "*",
        )
        if layout.caution:
            logger.warning("%s", layout.caution)
        names = layout.names | shared
        return names, layout.recorded if recorded is None else recorded

    def _shared(
        self,
        architecture: str | None,
        source: dict[str, torch.Tensor],
        target: dict[str, torch.Tensor],
    ) -> dict[str, str]:
        """What both architectures have besides the trunk, all of it or nothing."""
        pair: frozenset[str | None] = frozenset({architecture, self._architecture})
        prefix = _SHARED.get(pair)
        if prefix is None:
            return {}
        theirs, ours = (
            {k: v.shape for k, v in weights.items() if k.startswith(prefix)}
            for weights in (source, target)
        )
        if theirs != ours:
            logger.info("its %s* is of another kind or size and is left out", prefix)
            return {}
        return {key: key for key in theirs}

    def _compare_trunks(self, recorded: dict[str, Any] | None, names: dict[str, str]) -> None:
        if self._trunk is None or not any(k.startswith(TRUNK_PREFIX) for k in names):
            return
        recorded = _shown(names) | (recorded or {}) | {"variant": _variant(names)}
        faults = trunk_mismatches(recorded, self._trunk)
        if faults:
            raise CheckpointError(
                "the trunk of the file computes something else than the config's: "
                + "; ".join(faults)
                + ". Set these keys to the file's values"
            )
        if "stride_in_1x1" not in recorded:
            logger.warning(
                "the file does not record how its trunk was trained; check that these suit it: %s",
                ", ".join(f"{name} {value}" for name, value in self._trunk.items()),
            )
        elif "pixel_mean" not in recorded:
            logger.warning(
                "the file does not record its channel order and pixels; check that INPUT.FORMAT "
                "%s, MODEL.PIXEL_MEAN %s and MODEL.PIXEL_STD %s suit it",
                self._trunk["input_format"],
                self._trunk["pixel_mean"],
                self._trunk["pixel_std"],
            )

    def _refuse_trunk(
        self,
        shapes: dict[str, tuple[int, ...]],
        target: dict[str, torch.Tensor],
        misshapen: list[tuple[str, tuple[int, ...], tuple[int, ...]]],
    ) -> None:
        """Refuse a ResNet of another width or depth, of which some weights would fit."""
        for key, found, wanted in misshapen:
            if key.startswith(TRUNK_PREFIX):
                raise CheckpointError(
                    f"the trunk has another width: {key} is {found} in the file and {wanted} in "
                    "the model; set MODEL.RESNETS.DEPTH, STEM_OUT_CHANNELS, RES2_OUT_CHANNELS and "
                    "WIDTH_PER_GROUP to the file's"
                )
        # Norms may differ in what they store; convolutions must be the same ones.
        theirs = {k for k, s in shapes.items() if k.startswith(TRUNK_PREFIX) and len(s) == 4}
        ours = {k for k, v in target.items() if k.startswith(TRUNK_PREFIX) and v.dim() == 4}
        moved = {k for k in theirs - ours if _OFFSET in k}
        if theirs and ours and moved:
            raise CheckpointError(
                f"the trunk's convolutions are deformable in the file (such as {min(moved)}) and "
                "plain in the model; set MODEL.RESNETS.DEFORM_ON_PER_STAGE, DEFORM_MODULATED and "
                "DEFORM_NUM_GROUPS to the file's"
            )
        # Plain weights may go into deformable convolutions, which then start as plain ones.
        ours = {k for k in ours if _OFFSET not in k or k in theirs}
        if theirs and ours and theirs != ours:
            raise CheckpointError(
                f"the trunk has another depth: {len(theirs)} convolutions in the file, "
                f"{len(ours)} in the model, not the same in both are such as "
                f"{min(theirs ^ ours)}; set MODEL.RESNETS.DEPTH to the file's"
            )

    def _report(
        self,
        fitting: dict[str, torch.Tensor],
        missing: list[str],
        unused: list[str],
        misshapen: list[tuple[str, tuple[int, ...], tuple[int, ...]]],
    ) -> None:
        logger.info("loaded %d tensors: %s", len(fitting), _by_part(fitting))
        offsets = [k for k in missing if _OFFSET in k]
        missing = [k for k in missing if _OFFSET not in k]
        if offsets:
            logger.info(
                "%d tensors of deformable convolutions' offsets are new and zero: the trunk starts "
                "with the outputs of the file's: %s",
                len(offsets),
                _by_part(offsets),
            )
        if missing:
            logger.warning(
                "%d tensors of the model are not in the file and stay at their initial values: %s",
                len(missing),
                _by_part(missing),
            )
        if unused:
            logger.info("%d tensors of the file are not used: %s", len(unused), _by_part(unused))
        for key, found, wanted in misshapen:
            logger.warning("not loaded: %s is %s in the file, %s here", key, found, wanted)


def _check_finite(weights: dict[str, torch.Tensor], path: str) -> None:
    floats = {k: v for k, v in weights.items() if v.is_floating_point()}
    if not floats:
        return
    # One synchronisation of the device for all.
    finite = torch.stack([value.isfinite().all() for value in floats.values()]).tolist()
    wrong = [key for key, is_finite in zip(floats, finite) if not is_finite]
    if wrong:
        raise FloatingPointError(
            f"{len(wrong)} of the model's {len(floats)} weights and buffers are not finite (such "
            f"as {wrong[0]}): {path} is not written, and what was saved before stays. Lower "
            "SOLVER.BASE_LR, or enable SOLVER.CLIP_GRADIENTS"
        )


def _variant(names: Collection[str]) -> str:
    """Which of MODEL.RESNETS.VARIANT a trunk of these names is."""
    if f"{TRUNK_PREFIX}stem.conv5.weight" in names:
        return "lcnet"
    return "clip" if f"{TRUNK_PREFIX}stem.conv3.weight" in names else "plain"


def _shown(names: Collection[str]) -> dict[str, str]:
    """What the names show of the norm: running statistics are a batch norm's."""
    return {"norm": "BN"} if f"{TRUNK_PREFIX}stem.conv1.norm.running_mean" in names else {}


def _by_part(keys: Any) -> str:
    """Count names by their first parts: "backbone.bottom_up 265, head.neck 12"."""
    counts = Counter(".".join(key.split(".")[:2]) for key in keys)
    return ", ".join(f"{part} {count}" for part, count in counts.items())
