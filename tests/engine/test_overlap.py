"""Decoding while the network computes."""

import threading

import numpy as np
import torch
from detectron2.evaluation import DatasetEvaluator
from detectron2.modeling import build_model
from helpers.detectors import detector_cfg

from vlpt_d2.engine import TextTrainer
from vlpt_d2.engine.overlap import OverlappedInference
from vlpt_d2.modeling.detection import TextHead


class Kept(DatasetEvaluator):
    """The detections, in the order in which they come."""

    def reset(self):
        self.found = []

    def process(self, inputs, outputs):
        assert len(inputs) == len(outputs)
        self.found += [
            (sample["image_id"], output["instances"]) for sample, output in zip(inputs, outputs)
        ]

    def evaluate(self):
        return {"texts": sum(map(len, (found for _, found in self.found)))}


def test_maps_are_decoded_while_those_of_the_next_batch_are_computed(monkeypatch):
    cfg = detector_cfg("DBHead", "tiny", MODEL__DB__BOX_THRESH=0.0)
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    images = torch.randint(0, 255, (5, 3, 64, 96), dtype=torch.uint8)
    samples = [
        {"image": image, "image_id": i, "height": 128, "width": 192}
        for i, image in enumerate(images)
    ]
    batches = [samples[:2], samples[2:3], samples[3:]]
    monkeypatch.setattr(TextTrainer, "build_test_loader", lambda *args: batches)
    direct, overlapped = Kept(), Kept()
    results = TextTrainer.test(cfg, model, direct, datasets=["texts"])
    assert results["texts"] > 0

    computed = [threading.Event() for _ in batches]
    predict, decode = model.predict_maps, model.decode

    def predict_maps(batch):
        maps = predict(batch)
        computed[(0, 0, 1, 2, 2)[batch[0]["image_id"]]].set()
        return maps

    def decode_later(maps, size, sample):
        following = (1, 1, 2, 2, 2)[sample["image_id"]]
        assert computed[following].wait(60), "the network waits for the decoding"
        return decode(maps, size, sample)

    model.predict_maps, model.decode = predict_maps, decode_later
    cfg.MODEL.DEVICE = "cuda"  # the model stays on the CPU
    assert TextTrainer.test(cfg, model.train(), overlapped, datasets=["texts"]) == results
    assert model.training
    for (one, a), (other, b) in zip(direct.found, overlapped.found, strict=True):
        assert one == other and a.image_size == b.image_size and torch.equal(a.scores, b.scores)
        assert all(map(np.array_equal, a.pred_polygons, b.pred_polygons))


def test_a_head_that_reads_decodes_in_the_main_thread():
    model = build_model(detector_cfg("DBHead", "tiny"))
    assert OverlappedInference.fits(model)
    model.text_head.__class__ = type(
        "Reading", (type(model.text_head),), {"decode": TextHead.count}
    )
    assert not OverlappedInference.fits(model)
    assert not OverlappedInference.fits(torch.nn.Linear(1, 1))
