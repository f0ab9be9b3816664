"""Every kind of training that is shipped does a step on a pretend GPU, and detectors find texts."""

import pytest
import torch
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from test_shipped_trainings import _short_stages, dataset, tiny_config  # noqa: F401

from tests.helpers.pretend_device import move, pretend_device
from vlpt_d2.engine import TextTrainer
from vlpt_d2.engine.distributed import distribute
from vlpt_d2.engine.step import StepTrainer
from vlpt_d2.model_zoo import list_configs
from vlpt_d2.modeling.pretraining.vlpt.batch import TokenBatch

# First the one that chooses most. detectron2's own detectors are its own matter.
CONFIGS = sorted(list_configs(), key=lambda name: name != "pretrain.yaml")
CONFIGS = [name for name in CONFIGS if not name.startswith("detectron2/")]


def choices(node, prefix=""):
    """What a config chooses by name, as "key value": numbers do not choose another computation."""
    found = set()
    for key, value in node.items():
        if hasattr(value, "items"):
            found |= choices(value, f"{prefix}{key}.")
        elif key not in ("WEIGHTS", "OUTPUT", "TOKENIZER", "DEVICE"):
            values = value if isinstance(value, list | tuple) else [value]
            found |= {f"{prefix}{key} {v}" for v in values if isinstance(v, str | bool)}
    return found


def run_step(cfg, model, batches):
    """Do a step on the pretend device, a micro-batch from each batch; return the losses."""
    cfg = cfg.clone()
    cfg.merge_from_list(["MODEL.DEVICE", "lazy", "SOLVER.ACCUMULATE", len(batches)])
    trainer = StepTrainer(cfg, model, batches, TextTrainer.build_optimizer(cfg, model), 0)
    trainer.iter = 0
    with EventStorage(0) as storage:
        trainer.run_step()
    return {name: value for name, (value, _) in storage.latest().items() if "loss" in name}


def build(name, dataset, folder):  # noqa: F811
    """A config's model, and its batches."""
    cfg = tiny_config(name, folder, dataset)
    model = TextTrainer.build_model(cfg).train()
    return cfg, model, iter(TextTrainer.build_train_loader(cfg))


def test_a_step_of_every_kind(dataset, monkeypatch, tmp_path):  # noqa: F811
    tried = set()
    for name in CONFIGS:
        cfg = tiny_config(name, tmp_path, dataset)
        chosen = choices(cfg.MODEL) | choices(cfg.SOLVER.CLIP_GRADIENTS) | {cfg.SOLVER.OPTIMIZER}
        if chosen <= tried:
            continue
        tried |= chosen
        try:
            compare_with_the_cpu(*build(name, dataset, tmp_path), monkeypatch)
        except Exception as error:
            error.add_note(name)
            raise


def compare_with_the_cpu(cfg, model, batches, monkeypatch):
    batch = next(batches)
    trainer = StepTrainer(cfg, model, None, None, 0)
    trainer.iter = 0
    with trainer.seeded(0), torch.no_grad():
        expected = {loss: value.item() for loss, value in model(batch).items()}
    expected["total_loss"] = sum(expected.values())
    with pretend_device(monkeypatch) as watch:
        losses = run_step(cfg, move(model), [batch])
        waits = watch.synchronisations()
        if cfg.MODEL.META_ARCHITECTURE == "TextDetector":
            with torch.no_grad():
                (found, *_) = model.eval()(batch)
            assert found["instances"].image_size == batch[0]["image"].shape[1:]
    assert losses == pytest.approx({loss: expected[loss] for loss in losses}, rel=1e-5)
    # To read whether losses and gradient are finite.
    assert waits.total() <= 1, waits


@pytest.mark.parametrize("name", ["pretrain.yaml", "pretrain/oclip.yaml"])
def test_micro_batches_of_several_processes(name, dataset, monkeypatch, tmp_path):  # noqa: F811
    cfg, model, batches = build(name, dataset, tmp_path)
    place = {"init_method": f"file://{tmp_path}/meet", "rank": 0, "world_size": 1}
    torch.distributed.init_process_group("gloo", **place)
    try:
        with pretend_device(monkeypatch) as watch:
            with monkeypatch.context() as patch:
                patch.setattr(comm, "get_world_size", lambda: 2)
                model = distribute(move(model))
            watch.counts.clear()
            run_step(cfg, model, [next(batches), next(batches)])
    finally:
        torch.distributed.destroy_process_group()
    assert watch.synchronisations().total() == 1, watch.synchronisations()


def test_cuda_autocast(dataset, monkeypatch, tmp_path):  # noqa: F811
    _, model, batches = build("pretrain/vlpt_regions.yaml", dataset, tmp_path)
    with pretend_device(monkeypatch, "cuda") as watch, torch.autocast("cuda", torch.bfloat16):
        losses = move(model)(next(batches))
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    assert not watch.synchronisations()


def test_a_planted_mistake_is_found(dataset, monkeypatch, tmp_path):  # noqa: F811
    cfg, model, batches = build("ablation/itc.yaml", dataset, tmp_path)
    wrong = property(lambda tokens: torch.ones(len(tokens.input_ids), dtype=torch.bool))
    monkeypatch.setattr(TokenBatch, "has_words", wrong)
    with pretend_device(monkeypatch), pytest.raises(RuntimeError, match="a CPU tensor"):
        run_step(cfg, move(model), [next(batches)])
