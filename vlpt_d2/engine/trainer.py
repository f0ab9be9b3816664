"""The trainer of pre-training and of detectors."""

import errno
import logging
import os
import weakref
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence, Sized
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultTrainer, hooks
from detectron2.engine.train_loop import TrainerBase
from detectron2.evaluation import (
    DatasetEvaluator,
    inference_context,
    inference_on_dataset,
    verify_results,
)
from detectron2.modeling import META_ARCH_REGISTRY, build_model
from detectron2.utils import comm
from detectron2.utils.events import EventStorage, EventWriter
from torch import nn

from ..checkpoint import CheckpointError, TextCheckpointer
from ..config import with_values
from ..config.removed import removed_faults
from ..config.settings import NEUTRAL, differences, settings
from ..data.loader import build_test_loader, build_train_loader, get_dataset_dicts
from ..data.shards import ShardStreams
from ..modeling.detection import TextHead
from ..solver import build_lr_scheduler, build_optimizer, check_milestones, resolve_epochs
from ..utils.locks import lock_folder
from ..utils.rng import INITIALISATION, seeded_rng
from .averaging import WeightAverage
from .defaults import config_faults, write_config
from .distributed import distribute, sync_batch_norms_on_cpu, unwrap
from .hooks import (
    EVAL_SECONDS,
    BestCheckpointer,
    CheckpointHook,
    EarlyStopping,
    EvalHook,
    ResultWriter,
    flatten_numbers,
)
from .overlap import OverlappedInference
from .progress import LoggedProgress
from .ranges import check_values
from .results import has_metrics, read_results, remove_results, trim_metrics, write_results
from .step import StepTrainer, autocast
from .thresholds import check_thresholds, choose_thresholds
from .wandb_writer import WANDB_ID, WandbWriter

__all__ = ["TextTrainer"]

logger = logging.getLogger(__name__)

# The disk, the user's part of it, or the largest file is full.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class TextTrainer(DefaultTrainer):
    """detectron2's ``DefaultTrainer`` for this project's models, on CPU or GPUs.

    Training is exact under interruption: a run that is killed and resumed ends with the files and
    the weights of an uninterrupted one (on CPU to the last bit), whatever the number of workers.
    ``SEED < 0`` draws a seed; a checkpoint records the seed, and a resumed run keeps it. One
    process at a time trains in OUTPUT_DIR.
    """

    def __init__(self, cfg: CfgNode):
        """
        Args:
            cfg: see :mod:`vlpt_d2.config`.
        """
        TrainerBase.__init__(self)
        self.check(cfg)
        cfg = _with_iterations(cfg)
        cfg = DefaultTrainer.auto_scale_workers(cfg, comm.get_world_size())
        check_values(cfg, training=True)  # scaled to nothing
        seed = cfg.SEED if cfg.SEED >= 0 else comm.shared_random_seed() >> 1
        self.cfg = with_values(cfg, {"SEED": seed})
        model = self.build_model(self.cfg)
        if cfg.SOLVER.COMPILE:
            _compile_trunk(model, cfg.SOLVER.COMPILE)
        optimizer = self.build_optimizer(self.cfg, model)
        model = distribute(model)
        # The loader is built when the step to start at is known.
        self._trainer = StepTrainer(self.cfg, model, None, optimizer, self.cfg.SEED)
        self.scheduler = self.build_lr_scheduler(self.cfg, optimizer)
        self.checkpointer = TextCheckpointer(
            model, cfg.OUTPUT_DIR, cfg=self.cfg, trainer=weakref.proxy(self)
        )
        self._average: WeightAverage | None = None
        if cfg.SOLVER.EMA > 0:
            self._average = WeightAverage(model, cfg.SOLVER.EMA)
            self.checkpointer.average = self._average.weights
        self._lock = ExitStack()
        # Training images, once they are read; of a resumed run those of its checkpoint.
        self._images: int | None = None
        # Processes, and data workers of each, that made the checkpoint; 0: not known.
        self._team = (0, 0)
        self.start_iter = 0
        self.max_iter = cfg.SOLVER.MAX_ITER
        # TEST.PATIENCE if it ended the training, else 0.
        self._stopped_by = 0
        self._last_eval_results: dict[str, Any] | None = None
        # Arguments of write_results, after the last step.
        self._final_results: dict[str, dict[str, float]] | None = None
        self.register_hooks(self.build_hooks())

    @staticmethod
    def check(cfg: CfgNode) -> None:
        """Check values of a config before anything is built.

        Raises:
            ValueError: one cannot be used; the message names its key.
        """
        check_values(cfg, training=True)
        if cfg.TEST.BEST_METRIC and not cfg.DATASETS.VALIDATION:
            raise ValueError(
                "TEST.BEST_METRIC chooses weights, which must not be done on the test images: "
                "name other images in DATASETS.VALIDATION"
            )
        if cfg.TEST.PATIENCE and not (cfg.TEST.BEST_METRIC and cfg.TEST.EVAL_PERIOD > 0):
            raise ValueError(
                "TEST.PATIENCE needs evaluations to compare: set TEST.BEST_METRIC and "
                "TEST.EVAL_PERIOD"
            )
        check_thresholds(cfg)
        if cfg.DATALOADER.SAMPLER_TRAIN != "TrainingSampler":
            raise ValueError(
                f"DATALOADER.SAMPLER_TRAIN is {cfg.DATALOADER.SAMPLER_TRAIN!r}; only "
                "TrainingSampler resumes exactly and is supported"
            )
        if cfg.SOLVER.COMPILE and cfg.MODEL.IMAGE_ENCODER.CHECKPOINTING:
            raise ValueError(
                "SOLVER.COMPILE compiles the trunk as a whole, and "
                "MODEL.IMAGE_ENCODER.CHECKPOINTING runs it stage by stage: choose one"
            )

    def build_hooks(self) -> list[hooks.HookBase]:
        """Timing, schedule, average, checkpoints, evaluation, the best weights, writers."""
        cfg = self.cfg
        built: list[hooks.HookBase] = [
            hooks.IterationTimer(),
            hooks.LRScheduler(),
            *([] if self._average is None else [self._average]),
            # Before the evaluation: if that fails, there are weights to look at.
            CheckpointHook(
                self.checkpointer, cfg.SOLVER.CHECKPOINT_PERIOD, cfg.SOLVER.CHECKPOINTS_KEPT
            ),
        ]
        trainer = weakref.proxy(self)
        evaluation = EvalHook(
            cfg.TEST.EVAL_PERIOD,
            lambda last: trainer.evaluate(last),
            lambda iteration: trainer._evaluated(iteration),
        )
        built.append(evaluation)
        best = None
        if cfg.TEST.BEST_METRIC and comm.is_main_process():
            best = BestCheckpointer(evaluation, self.checkpointer, cfg.TEST.BEST_METRIC)
            built.append(best)
        if cfg.TEST.PATIENCE:
            built.append(
                EarlyStopping(evaluation, best, cfg.TEST.PATIENCE, lambda: trainer._stop())
            )
        if comm.is_main_process():
            built.append(ResultWriter(evaluation, self.build_writers(), period=20))
            # The last of all: what is written here marks the run as complete.
            # A resumed run may end before its first step.
            built.append(
                hooks.CallbackHook(
                    before_train=lambda trainer: trainer.write_results(),
                    after_step=lambda trainer: trainer.write_results(),
                )
            )
        return built

    def build_writers(self) -> list[EventWriter]:
        """detectron2's writers (console, metrics.json, TensorBoard), and W&B's if asked for."""
        writers = super().build_writers()
        return [*writers, WandbWriter(self.cfg)] if self.cfg.WANDB_PROJECT else writers

    def _evaluated(self, iteration: int) -> bool:
        """Whether the main process has written the evaluation after an iteration."""
        found = has_metrics(self.cfg.OUTPUT_DIR, iteration, EVAL_SECONDS)
        return comm.all_gather(found)[0]

    def resume_or_load(self, resume: bool = True) -> None:
        """Resume from the last sound checkpoint of OUTPUT_DIR, if asked and there is one.

        Otherwise load the weights of MODEL.WEIGHTS, if given, and start at step 0.

        Raises:
            CheckpointError: the checkpoint does not fit the model or the config.
            FolderInUseError: another process trains in OUTPUT_DIR.
        """
        self._hold_folder()
        begun = self.checkpointer.has_checkpoint()
        if begun and not resume:
            logger.warning(
                "%s holds a run, which is started over: its files are replaced. With --resume it "
                "would be continued",
                self.cfg.OUTPUT_DIR,
            )
        resume = resume and begun
        self.checkpointer.resume_or_load(self.cfg.MODEL.WEIGHTS, resume=resume)
        if resume:
            self.start_iter = self.iter + 1
            logger.info("resuming after %d steps, with seed %d", self.start_iter, self.cfg.SEED)
        if not comm.is_main_process() or not self.cfg.OUTPUT_DIR:
            return
        for part in Path(self.cfg.OUTPUT_DIR).glob("*.part"):
            part.unlink()  # of a killed process: this one holds the folder
        # Of another run, or of this one when it was shorter.
        if self.start_iter < self.max_iter:
            remove_results(self.cfg.OUTPUT_DIR)
        if not resume:
            Path(self.cfg.OUTPUT_DIR, WANDB_ID).unlink(missing_ok=True)
        # Of a run that the folder held before, all: resuming takes rows for those of this run.
        trim_metrics(self.cfg.OUTPUT_DIR, self.start_iter)

    def _hold_folder(self) -> None:
        """Keep other processes from training in OUTPUT_DIR, to the end of the training."""
        if comm.is_main_process() and self.cfg.OUTPUT_DIR:
            self._lock.enter_context(lock_folder(self.cfg.OUTPUT_DIR))

    def train(self) -> dict[str, Any] | None:
        """Train to SOLVER.MAX_ITER.

        Returns:
            The results of the evaluation after the last step, if there was one.

        Raises:
            FolderInUseError: another process trains in OUTPUT_DIR.
        """
        self._hold_folder()
        with self._lock:
            if self.start_iter < self.max_iter:
                return self._train()
            logger.info("all %d steps are done: nothing to train", self.max_iter)
            return self._complete()

    def _train(self) -> dict[str, Any] | None:
        if comm.is_main_process():
            write_config(self.cfg)
        with config_faults(self.cfg):
            loader = self.build_train_loader(self.cfg, self.start_iter)
        self._trainer.data_loader = loader
        images = len(cast(Sized, loader.dataset))
        if self._images not in (None, images):
            logger.warning(
                "the checkpoint was trained on %d images, and DATASETS.TRAIN has %d now: the run "
                "does not end as an uninterrupted one",
                self._images,
                images,
            )
        self._images = images
        workers = max(self.cfg.DATALOADER.NUM_WORKERS, 1)
        shards = isinstance(getattr(loader.dataset, "dicts", None), ShardStreams)
        if told := _team_change(self._team, (comm.get_world_size(), workers), shards):
            logger.warning(told)
        try:
            self._loop()
        except OSError as error:
            # Writers of metrics do not say where the disk is full.
            if error.errno not in _FULL or error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, self.cfg.OUTPUT_DIR) from None
        finally:
            # Stops the workers.
            self._trainer._data_loader_iter_obj = None
        if len(self.cfg.TEST.EXPECTED_RESULTS) and comm.is_main_process():
            verify_results(self.cfg, self._last_eval_results or {})
        return self._last_eval_results

    def _loop(self) -> None:
        """detectron2's loop, but for its printing of errors, which whoever starts it does."""
        self.iter = self.start_iter
        with EventStorage(self.start_iter) as self.storage:
            try:
                self.before_train()
                # At the end it is max_iter, which tells hooks that the end was reached.
                while self.iter < self.max_iter:
                    self.before_step()
                    self.run_step()
                    self.after_step()
                    self.iter += 1
            finally:
                self.after_train()

    def _complete(self) -> dict[str, Any] | None:
        """Write what a run lacks that was stopped after its last step: weights and evaluation."""
        self.iter = self.max_iter - 1
        for hook in self._hooks:
            if isinstance(hook, CheckpointHook):
                hook.complete()
        results = read_results(self.cfg.OUTPUT_DIR)
        done = results is not None and results["iteration"] >= self.max_iter - 1
        if done or self.cfg.TEST.EVAL_PERIOD <= 0:
            return None
        logger.info("the evaluation after the last step was cut off: evaluating")
        wanted = (EvalHook, BestCheckpointer, hooks.PeriodicWriter, hooks.CallbackHook)
        with EventStorage(self.iter) as self.storage:
            rerun = [hook for hook in self._hooks if isinstance(hook, wanted)]
            for hook in rerun:
                if isinstance(hook, BestCheckpointer):
                    hook.before_train()
                hook.after_step()
            # Past the last step writers only close.
            self.storage.step()
            for hook in rerun:
                hook.after_train()
        return self._last_eval_results

    def evaluate(self, last: bool) -> dict[str, Any]:
        """Evaluate the validation images, or the test images where there are no others.

        Args:
            last: after the last step the test images are evaluated in any case.
        """
        cfg = self.cfg
        validation = cfg.DATASETS.VALIDATION
        if not validation and not cfg.DATASETS.TEST:
            logger.info("no dataset in DATASETS.TEST: nothing is evaluated")
            if last:
                self._evaluate_end({})
            return {}
        results = self._test(validation or cfg.DATASETS.TEST)
        self._last_eval_results = results
        if last:
            self._evaluate_end(results)
        return results

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """The model has its weights, or their average where there is one."""
        # Images of many sizes: kernels are neither compiled for each, nor timed.
        benchmark, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, False
        average = nullcontext() if self._average is None else self._average.applied()
        compiled = self.cfg.SOLVER.COMPILE
        eager = torch.compiler.set_stance("force_eager") if compiled else nullcontext()
        try:
            with average, eager:
                yield
        finally:
            torch.backends.cudnn.benchmark = benchmark

    def _test(self, datasets: Sequence[str]) -> dict[str, Any]:
        with self._evaluating():
            return self.test(self.cfg, self.model, datasets=datasets, weights="")

    def _evaluate_end(self, results: dict[str, Any]) -> None:
        """Evaluate the test images in addition to the validation images, and keep both results."""
        validation, test = self.cfg.DATASETS.VALIDATION, self.cfg.DATASETS.TEST
        thresholds: dict[str, float] = {}
        if validation and test:
            if self.cfg.TEST.THRESHOLDS:
                network: Any = unwrap(self.model)
                with self._evaluating(), inference_context(network):
                    thresholds = choose_thresholds(self.cfg, network)
            self._last_eval_results = self._test(test)
            tested = flatten_numbers(self._last_eval_results)
            self.storage.put_scalars(
                **{f"test/{name}": value for name, value in tested.items()}, smoothing_hint=False
            )
        self._final_results = {
            "validation": flatten_numbers(results) if validation else {},
            "test": flatten_numbers(self._last_eval_results or {}) if test else {},
            "thresholds": thresholds,
        }

    def _stop(self) -> None:
        """End the training with this step, which was evaluated."""
        self.max_iter = self.iter + 1
        self._stopped_by = self.cfg.TEST.PATIENCE
        self._evaluate_end(self._last_eval_results or {})
        for hook in self._hooks:
            if isinstance(hook, CheckpointHook):
                hook.save_final()

    def write_results(self) -> None:
        """After the last step and its evaluation, write ``results.json`` to OUTPUT_DIR."""
        if self._final_results is None or not self.cfg.OUTPUT_DIR:
            return
        on_gpu = torch.device(self.cfg.MODEL.DEVICE).type == "cuda"
        memory = round(torch.cuda.max_memory_allocated() / 2**20) if on_gpu else 0
        last = self.max_iter - 1
        write_results(self.cfg.OUTPUT_DIR, last, gpu_memory_mib=memory, **self._final_results)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the weights that resuming needs, and the settings it was made with."""
        return {
            **super().state_dict(),
            "seed": self.cfg.SEED,
            "settings": settings(self.cfg),
            "images": self._images,
            "processes": comm.get_world_size(),
            "stopped_by": self._stopped_by,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of :meth:`state_dict`: the seed stays, else the config's values hold.

        Raises:
            CheckpointError: the config asks for what the checkpoint cannot be resumed with.
        """
        done = state_dict["iteration"] + 1
        if done > self.cfg.SOLVER.MAX_ITER:
            raise CheckpointError(
                f"the checkpoint is of {done} steps and SOLVER.MAX_ITER is "
                f"{self.cfg.SOLVER.MAX_ITER}, so the run cannot be resumed: set it to {done} or "
                "more, or start a run of its own in another OUTPUT_DIR"
            )
        if faults := removed_faults(state_dict.get("settings") or {}, settings(self.cfg)):
            raise CheckpointError(
                "the checkpoint cannot be resumed with this version: " + "; ".join(faults)
            )
        base_lrs = self.scheduler.base_lrs
        super().load_state_dict(state_dict)
        self.scheduler.base_lrs = base_lrs
        rates = self.scheduler.get_lr()
        for group, rate in zip(self.optimizer.param_groups, rates):
            group["lr"] = rate
        # With another patience the training resumes.
        if self.cfg.TEST.PATIENCE and state_dict.get("stopped_by") == self.cfg.TEST.PATIENCE:
            self.max_iter, self._stopped_by = done, self.cfg.TEST.PATIENCE
        if self._average is not None and "WeightAverage" not in state_dict.get("hooks", {}):
            self._average.restart()
        then = state_dict.get("settings")
        changed = self._report_changes(then)
        workers = (then or {}).get("DATALOADER.NUM_WORKERS", "0")
        self._team = state_dict.get("processes", 0), max(int(workers), 1)
        # Other datasets are in that warning already.
        self._images = None if "DATASETS.TRAIN" in changed else state_dict.get("images")
        seed = state_dict.get("seed", self.cfg.SEED)
        if seed == self.cfg.SEED:
            return
        logger.warning("keeping seed %d of the checkpoint, not %d", seed, self.cfg.SEED)
        self.cfg = with_values(self.cfg, {"SEED": seed})
        self._trainer.seed = seed

    def _report_changes(self, then: dict[str, str] | None) -> Collection[str]:
        """Warn of settings that differ from those of the checkpoint; return their keys."""
        if then is None:
            return ()  # of an earlier version
        changed = differences(then, settings(self.cfg))
        if "MODEL.WEIGHTS" in changed:
            changed["MODEL.WEIGHTS"] += " (not read: the checkpoint's weights stay)"
        texts = [text for key, text in changed.items() if key not in NEUTRAL | {"SEED"}]
        if texts:
            logger.warning(
                "resuming with another config than the checkpoint's; from here on the new values "
                "hold, and the run does not end as an uninterrupted one: %s",
                "; ".join(texts),
            )
        return changed

    @classmethod
    def build_model(cls, cfg: CfgNode) -> nn.Module:
        """Build the meta-architecture; its initial weights depend on SEED alone, if not negative.

        The model is on MODEL.DEVICE, its norms able to run there over several processes.
        """
        if cfg.SEED >= 0:
            # Modules are initialised on the CPU and then moved.
            with seeded_rng(INITIALISATION, cfg.SEED):
                model = build_model(cfg)
        else:
            model = build_model(cfg)
        if comm.get_world_size() > 1 and torch.device(cfg.MODEL.DEVICE).type == "cpu":
            sync_batch_norms_on_cpu(model)
        on_gpu = torch.device(cfg.MODEL.DEVICE).type == "cuda"
        if cfg.SOLVER.CHANNELS_LAST or (on_gpu and cfg.SOLVER.AMP.ENABLED):
            model.to(memory_format=torch.channels_last)
        parameters = sum(p.numel() for p in model.parameters())
        logger.info("%s with %.2f M parameters", type(model).__name__, parameters / 1e6)
        logger.debug("model:\n%s", model)
        return model

    # Hooks of detectron2's trainer; a subclass may override them.
    build_optimizer = staticmethod(build_optimizer)
    build_lr_scheduler = staticmethod(build_lr_scheduler)
    build_train_loader = staticmethod(build_train_loader)
    build_test_loader = staticmethod(build_test_loader)

    @classmethod
    def build_evaluator(
        cls, cfg: CfgNode, dataset_name: str, weights: str | None = None
    ) -> DatasetEvaluator:
        """Build the evaluator of the meta-architecture, else that of the dataset's protocol.

        A meta-architecture may have a class method ``build_evaluator(cfg)``; pre-trainings do.

        Args:
            cfg: the run's config.
            dataset_name: a registered dataset.
            weights: the checkpoint that is measured; None: MODEL.WEIGHTS, "": not a file.

        Raises:
            NotImplementedError: the dataset has no protocol here.
        """
        from ..evaluation.protocols import image_protocols
        from ..evaluation.text_evaluator import TextEvaluator

        model = META_ARCH_REGISTRY.get(cfg.MODEL.META_ARCHITECTURE)
        if hasattr(model, "build_evaluator"):
            return model.build_evaluator(cfg)
        kind = MetadataCatalog.get(dataset_name).get("evaluator_type")
        if kind not in image_protocols():
            raise NotImplementedError(
                f"dataset {dataset_name!r} has evaluator_type {kind!r}; there are "
                f"{', '.join(sorted(image_protocols()))}. Set it in the dataset's metadata"
            )
        folder = os.path.join(cfg.OUTPUT_DIR, "inference")
        return TextEvaluator(cfg, dataset_name, output_dir=folder, weights=weights)

    @classmethod
    def test(
        cls,
        cfg: CfgNode,
        model: nn.Module,
        evaluators: Sequence[DatasetEvaluator] | DatasetEvaluator | None = None,
        *,
        datasets: Sequence[str] | None = None,
        weights: str | None = None,
    ) -> dict[str, Any]:
        """Evaluate a model.

        Args:
            cfg: the run's config.
            model: its weights are loaded.
            evaluators: one for each dataset, in place of :meth:`build_evaluator`'s.
            datasets: if not given DATASETS.TEST, or DATASETS.VALIDATION where that is empty.
            weights: see :meth:`build_evaluator`.

        Returns:
            The results, by dataset where there are several; empty outside the main process.
        """
        if datasets is None:
            datasets = cfg.DATASETS.TEST or cfg.DATASETS.VALIDATION
        names = list(datasets)
        if not names:
            raise ValueError("nothing to evaluate: name datasets in DATASETS.TEST")
        if isinstance(evaluators, DatasetEvaluator):
            evaluators = [evaluators]
        if evaluators is None:
            evaluators = [cls.build_evaluator(cfg, name, weights) for name in names]
        if len(evaluators) != len(names):
            raise ValueError(f"{len(evaluators)} evaluators for {len(names)} datasets")
        results: dict[str, Any] = OrderedDict()
        network: Any = unwrap(model)
        on_gpu = torch.device(cfg.MODEL.DEVICE).type == "cuda"
        for name, evaluator in zip(names, evaluators):
            loader: Any = cls.build_test_loader(cfg, name)
            run = network
            if on_gpu and OverlappedInference.fits(network):
                loader = run = OverlappedInference(loader, network)
            progress = LoggedProgress(loader, name)
            with autocast(cfg, cfg.TEST.AMP_ENABLED), inference_context(network):
                results[name] = inference_on_dataset(run, progress, evaluator)
            if isinstance(head := getattr(network, "text_head", None), TextHead):
                head.report_limits()
            if comm.is_main_process():
                numbers = flatten_numbers(results[name])
                listed = "\n".join(f"  {key} {value:.4g}" for key, value in numbers.items())
                logger.info("results on %s:\n%s", name, listed)
        return next(iter(results.values())) if len(results) == 1 else results


def _compile_trunk(model: nn.Module, backend: str) -> None:
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise ValueError(f"SOLVER.COMPILE is {backend!r}; torch has {', '.join(known)}")
    trunk = cast(nn.Module, getattr(model.backbone, "bottom_up", model.backbone))
    trunk.compile(backend=backend)


def _team_change(then: tuple[int, int], now: tuple[int, int], shards: bool) -> str:
    """Say what resuming with other processes, or other data workers of each, changes."""
    if not then[0] or then == now or (then[0] == now[0] and not shards):
        return ""
    if shards:
        what = "shards are cut differently: some images come twice in this epoch, others not at all"
    else:
        what = (
            "each step takes the same images, but dropout, the norm BN, and losses that are "
            "averaged over the images of a process change"
        )
    return (
        f"the checkpoint is of {then[0]} process(es) with {then[1]} data worker(s) each, now there "
        f"are {now[0]} with {now[1]}: {what}. The run does not end as an uninterrupted one"
    )


def _with_iterations(cfg: CfgNode) -> CfgNode:
    """The config with SOLVER.EPOCHS turned into iterations."""
    if cfg.SOLVER.EPOCHS <= 0:
        check_milestones(cfg)
        return cfg
    dicts = get_dataset_dicts(cfg.DATASETS.TRAIN, cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS)
    return resolve_epochs(cfg, len(dicts))
