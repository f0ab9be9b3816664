"""Every head over two processes: the mean of the gradients that their halves give."""

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from helpers.detectors import HEADS, detector_cfg
from helpers.two_processes import in_two_processes

from vlpt_d2.engine.distributed import distribute, unwrap
from vlpt_d2.modeling.detection import build_label_function
from vlpt_d2.modeling.detection.mapper import as_tensors
from vlpt_d2.structures import TextInstances

SIZE = (64, 64)
MODELS = {name: {} for name in HEADS}
MODELS["TextDragonHead that reads"] = {"MODEL__TEXTDRAGON__READ": True}

# Texts of a process's images, as (x, y, width, height) and whether they are ignored.
TEXTS = [((4, 6, 40, 14), False), ((20, 30, 36, 20), False), ((2, 52, 28, 10), True)]
# At the second step a process refuses to go on if the first left parameters without gradient.
STEPS = {
    "no texts in the second half": ((TEXTS, TEXTS[:1]), ([], TEXTS[2:])),
    "texts in both halves": ((TEXTS, TEXTS[:1]), (TEXTS[1:2], [])),
}


def make_samples(cfg, images, seed):
    rng = np.random.default_rng(seed)
    labels, samples = build_label_function(cfg), []
    for texts in images:
        boxes = np.float64([box for box, _ in texts]).reshape(-1, 4)
        corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
        quads = list(boxes[:, None, :2] + corners * boxes[:, None, 2:])
        ignore = [ignored for _, ignored in texts]
        words = ["word"] * len(texts)
        targets = labels(TextInstances(quads, ignore, words), SIZE)
        image = torch.from_numpy(rng.integers(0, 256, (3, *SIZE), dtype=np.uint8))
        samples.append({"image": image, "targets": as_tensors(targets)})
    return samples


def build(name):
    cfg = detector_cfg(name.split()[0], "tiny", **MODELS[name])
    torch.manual_seed(0)
    model = build_model(cfg)
    for module in model.modules():
        # Statistics of a batch would differ between the halves.
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    return cfg, model


def gradients(model, samples):
    """Of each parameter, or None."""
    model.zero_grad()
    sum(model(samples).values()).backward()
    return {
        n: None if p.grad is None else p.grad.clone() for n, p in unwrap(model).named_parameters()
    }


def train_half(rank):
    """Gradients of each model in each step, of this process's half with the other's."""
    together = {}
    for name in MODELS:
        cfg, model = build(name)
        model = distribute(model)
        for step, halves in STEPS.items():
            together[name, step] = gradients(model, make_samples(cfg, halves[rank], seed=rank))
    return together


@pytest.fixture(scope="module")
def ranks():
    """What each of two processes returned."""
    return in_two_processes(train_half)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_the_mean_of_those_of_the_halves(ranks, name):
    cfg, model = build(name)
    for step, images in STEPS.items():
        halves = [make_samples(cfg, half, seed=rank) for rank, half in enumerate(images)]
        alone = [gradients(model, half) for half in halves]
        for parameter, gradient in ranks[0][name, step].items():
            case = f"{step}, {parameter}"
            first, second = (own[parameter] for own in alone)
            assert first is not None and second is not None, case
            assert torch.equal(gradient, ranks[1][name, step][parameter]), case
            torch.testing.assert_close(
                gradient, (first + second) / 2, msg=lambda m, c=case: f"{c}: {m}"
            )


@pytest.mark.parametrize("name", ["CRAFTHead", "PSENetHead", "SAEHead", "TextFieldHead"])
def test_heads_that_average_their_losses_over_images(ranks, name):
    """Two processes train as one does on all images."""
    cfg, model = build(name)
    halves = STEPS["texts in both halves"]
    samples = [s for rank, half in enumerate(halves) for s in make_samples(cfg, half, seed=rank)]
    for parameter, gradient in gradients(model, samples).items():
        found = ranks[0][name, "texts in both halves"][parameter]
        assert (found - gradient).norm() <= 1e-5 * gradient.norm(), parameter
