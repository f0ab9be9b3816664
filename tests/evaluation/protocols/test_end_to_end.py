"""End to end without a lexicon: the script's rule for words, and matches that do not read."""

import numpy as np
import pytest
import torch
from detectron2.structures import Instances

from vlpt_d2.evaluation import TextEvaluator
from vlpt_d2.evaluation.protocols.end_to_end import reads
from vlpt_d2.structures import Polygons, TextInstances


@pytest.mark.parametrize(
    ("truth", "found", "same"),
    [
        ("Exit", "EXIT", True),
        ("exit", "exist", False),
        ("(exit)", "exit", True),
        ("(exit)", "(exit", True),
        ("exit!", "exit", True),
        ("exit!!", "exit", False),
        ("exit", "exit!", False),
        ("it's", "its", False),
        ("-exit", "exit", False),
        ("!", "", True),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_words(truth, found, same):
    assert reads(truth, found) == same


def box(x, size=10.0):
    return np.array([(x, 0), (x + size, 0), (x + size, size), (x, size)])


def test_matches_count_if_they_read(tmp_path):
    """Found and read; found and misread; on a don't-care region; below the score."""
    texts = TextInstances(
        [box(0), box(20), box(40), box(60)],
        [False, False, True, False],
        ["Sale!", "50%", "", "x"],
    )
    instances = Instances((100, 100), scores=torch.tensor([0.9, 0.8, 0.7, 0.2]))
    instances.pred_polygons = Polygons([box(0), box(20), box(40), box(60)])
    instances.pred_texts = ["sale", "SO%", "any", "x"]
    evaluator = TextEvaluator(dataset_name="words", score_thresh=0.5, output_dir=str(tmp_path))
    evaluator.process([{"image_id": 1, "texts": texts}], [{"instances": instances}])
    results = evaluator.evaluate()
    assert results["text"] == pytest.approx({"precision": 100, "recall": 200 / 3, "hmean": 80})
    expected = {"precision": 50, "recall": 100 / 3, "hmean": 40}
    assert results["end_to_end"] == pytest.approx(expected)
    report = (tmp_path / "text_results_words.json").read_text()
    assert '"percent_end_to_end"' in report and '"SO%"' in report
    assert len(instances) == 4 and instances.has("pred_texts")
    other = TextEvaluator(dataset_name="words", protocol="td500")
    other.process([{"image_id": 1, "texts": texts}], [{"instances": instances}])
    assert list(other.evaluate()) == ["text"]
