"""TextEvaluator: scores, thresholds, result files, and gathering over processes."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode, Instances
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from helpers.detectors import detector_cfg
from helpers.miniatures import MINIATURES

from vlpt_d2.config import get_cfg
from vlpt_d2.data.datasets.file_format import to_quad
from vlpt_d2.engine import TextTrainer
from vlpt_d2.evaluation import TextEvaluator
from vlpt_d2.evaluation.file_evaluation import evaluate_files
from vlpt_d2.evaluation.protocols import image_protocols
from vlpt_d2.evaluation.submission import write_submission
from vlpt_d2.modeling.detection.mapper import DetectionMapper
from vlpt_d2.structures import Polygons, TextInstances

PROTOCOLS = image_protocols()


def _ring(x, y, size=10.0):
    return [x, y, x + size, y, x + size, y + size, x, y + size]


def _input(image_id, words):
    """Words as (ring, iscrowd)."""
    rings = [np.reshape(ring, (-1, 2)) for ring, _ in words]
    return {
        "file_name": f"folder/img_{image_id}.jpg",
        "image_id": image_id,
        "texts": TextInstances(rings, [crowd for _, crowd in words]),
    }


def _output(polygons, scores):
    instances = Instances((100, 100))
    instances.pred_polygons = Polygons(polygons)
    instances.scores = torch.tensor(scores, dtype=torch.float32)
    return {"instances": instances}


# Image 1: two words, one of them found, plus a false alarm of a low score. Image 2: a word that
# is found, and a don't-care region that swallows a detection.
INPUTS = [
    _input(1, [(_ring(0, 0), 0), (_ring(50, 50), 0)]),
    _input(2, [(_ring(0, 0), 0), (_ring(20, 20), 1)]),
]
OUTPUTS = [
    _output([_ring(1, 0), _ring(80, 80)], [0.9, 0.2]),
    _output([_ring(0, 1), _ring(22, 22, 5.0)], [0.8, 0.7]),
]


def test_scores_in_percent():
    evaluator = TextEvaluator(dataset_name="toy")
    evaluator.process(INPUTS[:1], OUTPUTS[:1])
    evaluator.process(INPUTS[1:], OUTPUTS[1:])
    scores = evaluator.evaluate()["text"]
    assert scores == pytest.approx({"precision": 200 / 3, "recall": 200 / 3, "hmean": 200 / 3})
    assert all(type(v) is float for v in scores.values())
    evaluator.reset()
    assert evaluator.evaluate() == {}


def test_threshold_drops_low_scores():
    evaluator = TextEvaluator(dataset_name="toy", score_thresh=0.5)
    evaluator.process(INPUTS, OUTPUTS)
    assert evaluator.evaluate()["text"]["precision"] == 100
    strict = TextEvaluator(dataset_name="toy", score_thresh=0.95)
    strict.process(INPUTS, OUTPUTS)
    assert strict.evaluate()["text"] == {"precision": 0, "recall": 0, "hmean": 0}


def test_every_ring_is_a_text_and_a_box_stands_for_none():
    """As in training; annotations of detectron2's own readers have either."""
    box = {"bbox": [50.0, 50.0, 10.0, 10.0], "bbox_mode": BoxMode.XYWH_ABS, "iscrowd": 0}
    rings = {"segmentation": [_ring(0, 0), _ring(20, 20)], "iscrowd": 0}
    item = _input(1, []) | {"texts": TextInstances.from_annotations([rings, box])}
    evaluator = TextEvaluator(dataset_name="x")
    evaluator.process([item], [_output([_ring(0, 0), _ring(20, 20), _ring(50, 50)], [0.9] * 3)])
    assert evaluator.evaluate()["text"] == {"precision": 100, "recall": 100, "hmean": 100}


@pytest.mark.parametrize("protocol, hmean", [("icdar2015", 50.0), ("icdar2017", 100.0)])
def test_order_of_detections_is_the_protocols(protocol, hmean):
    """Two overlapping words; the first detection fits either, the second the first word alone.

    Sorted by confidence, which ICDAR2017-MLT asks for, each finds its own.
    """
    words = [(_ring(0, 0), 0), (_ring(3, 0), 0)]
    evaluator = TextEvaluator(dataset_name="x", protocol=protocol)
    # IoU with the words 0.67 and 0.82; 0.54 and 0.25.
    found = _output([_ring(2, 0), _ring(-3, 0)], [0.2, 0.9])
    evaluator.process([_input(1, words)], [found])
    assert evaluator.evaluate()["text"]["hmean"] == hmean


def test_quads_and_polygons_mix():
    octagon = [3, 0, 7, 0, 10, 3, 10, 7, 7, 10, 3, 10, 0, 7, 0, 3]
    evaluator = TextEvaluator(dataset_name="toy")
    evaluator.process(INPUTS[:1], [_output([octagon, _ring(50, 50)], [0.9, 0.9])])
    assert evaluator.evaluate()["text"]["hmean"] == 100


def test_image_without_detections_or_words():
    evaluator = TextEvaluator(dataset_name="toy")
    evaluator.process([_input(1, []), INPUTS[0]], [_output([], []), _output([], [])])
    assert evaluator.evaluate()["text"] == {"precision": 0, "recall": 0, "hmean": 0}


def _without_ground_truth(inputs):
    return [{k: v for k, v in record.items() if k != "texts"} for record in inputs]


def test_without_ground_truth_the_submission_is_written(tmp_path, caplog):
    name = "toy_without_ground_truth"
    MetadataCatalog.get(name).evaluator_type = "icdar2017"
    cfg = get_cfg()
    cfg.SEED = 0
    cfg.TEST.SCORE_THRESH = 0.5
    evaluator = TextEvaluator(cfg, name, str(tmp_path / "out"))
    inputs = _without_ground_truth(INPUTS)
    inputs[0]["file_name"] = "folder/ts_img_00001.jpg"
    evaluator.process(inputs, OUTPUTS)
    assert evaluator.evaluate() == {}
    assert f"{name} has no public ground truth, so no score was computed" in caplog.text
    path = tmp_path / f"out/submission_{name}.zip"
    assert str(path) in caplog.text
    assert [p.name for p in (tmp_path / "out").iterdir()] == [path.name]
    with zipfile.ZipFile(path) as archive:
        files = {n: archive.read(n).decode() for n in archive.namelist()}
    assert files == {
        "res_img_00001.txt": "1,0,11,0,11,10,1,10,0.900000\r\n",
        "res_img_2.txt": "0,1,10,1,10,11,0,11,0.800000\r\n22,22,27,22,27,27,22,27,0.700000\r\n",
    }
    bare = TextEvaluator(dataset_name="toy")
    bare.process(inputs, OUTPUTS)
    assert bare.evaluate() == {}
    assert "nothing is written without an output folder" in caplog.text


def test_evaluating_a_set_without_ground_truth(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    MINIATURES["icdar2017_mlt_test"](tmp_path)
    cfg = detector_cfg("DBHead", "tiny")
    cfg.OUTPUT_DIR = str(tmp_path / "out")
    cfg.INPUT.DETECTION.TEST_SIZE = (64, 96)
    cfg.DATALOADER.NUM_WORKERS = 0
    model = TextTrainer.build_model(cfg)
    assert TextTrainer.test(cfg, model, datasets=["icdar2017_mlt_test"]) == {}
    with zipfile.ZipFile(tmp_path / "out/inference/submission_icdar2017_mlt_test.zip") as archive:
        assert archive.namelist() == ["res_img_00001.txt", "res_img_00002.txt"]


def test_some_images_without_ground_truth_are_refused():
    evaluator = TextEvaluator(dataset_name="toy")
    evaluator.process([INPUTS[0], *_without_ground_truth(INPUTS[1:])], OUTPUTS)
    with pytest.raises(ValueError, match=r"1 of 2 images have no ground truth.*img_2\.jpg"):
        evaluator.evaluate()


def test_art_is_submitted_as_json(tmp_path):
    cfg = get_cfg()
    cfg.SEED = 0
    evaluator = TextEvaluator(cfg, "icdar2019_art_test", str(tmp_path))
    octagon = [3, 0, 7, 0, 10, 3, 10, 7, 7, 10, 3, 10, 0, 7, 0, 3]
    inputs = _without_ground_truth(INPUTS)
    inputs[0]["file_name"], inputs[1]["file_name"] = "a/test_0.jpg", "a/test_12.jpg"
    evaluator.process(inputs, [_output([octagon], [0.75]), _output([], [])])
    assert evaluator.evaluate() == {}
    assert json.loads((tmp_path / "submission_icdar2019_art_test.json").read_text()) == {
        "res_0": [{"points": np.reshape(octagon, (-1, 2)).tolist(), "confidence": 0.75}],
        "res_12": [],
    }


def test_unknown_protocol():
    with pytest.raises(KeyError, match="there are ctw1500"):
        TextEvaluator(dataset_name="toy", protocol="coco")


def test_files(tmp_path):
    name = "toy_text_for_result_files"
    MetadataCatalog.get(name).evaluator_type = "icdar2015"
    cfg = get_cfg()
    cfg.SEED = 7
    cfg.TEST.SCORE_THRESH = 0.5
    weights = tmp_path / "model.pth"
    weights.write_bytes(b"abc")
    evaluator = TextEvaluator(cfg, name, str(tmp_path / "out"), str(weights))
    evaluator.process(INPUTS, OUTPUTS)
    scores = evaluator.evaluate()["text"]
    report = json.loads((tmp_path / "out" / f"text_results_{name}.json").read_text())
    assert report["percent"] == scores
    assert report["protocol"] == "icdar2015"
    assert report["protocol_parameters"] == {"iou_threshold": 0.5, "overlap_threshold": 0.5}
    assert report["score_thresh"] == 0.5
    assert report["totals"]["num_matches"] == 2
    origin = report["origin"]
    assert origin["seed"] == 7
    assert origin["weights"] == str(weights)
    # SHA-256 of "abc", from the standard (FIPS 180-2, B.1).
    assert origin["weights_sha256"].startswith("ba7816bf8f01cfea414140de5dae2223")
    assert len(origin["config_sha256"]) == 64
    image = report["images"][1]
    assert image["ignored_det"] == [1]
    assert image["matches"][0][:2] == [0, 0]
    assert image["matches"][0][2] == pytest.approx(9 / 11)
    with zipfile.ZipFile(tmp_path / "out" / f"submission_{name}.zip") as archive:
        assert archive.namelist() == ["res_img_1.txt", "res_img_2.txt"]
        assert archive.read("res_img_1.txt") == b"1,0,11,0,11,10,1,10\r\n"
        assert archive.read("res_img_2.txt").count(b"\r\n") == 2


def test_during_training_the_iteration_is_recorded(tmp_path):
    name = "toy_text_for_result_files"
    MetadataCatalog.get(name).evaluator_type = "icdar2015"
    with EventStorage(12):
        evaluator = TextEvaluator(get_cfg(), name, str(tmp_path))
        evaluator.process([_input(3, []) | {"file_name": None}], [_output([], [])])
        evaluator.evaluate()
    origin = json.loads((tmp_path / f"text_results_{name}.json").read_text())["origin"]
    assert origin["iteration"] == 12
    assert "weights" not in origin
    assert "initial_weights" in origin


def _archive(tmp_path, files, file_format, annotated=True):
    """Evaluate images of one detection each, at x = 10, 20 ...; return the archive's content."""
    evaluator = TextEvaluator(
        dataset_name="x", output_dir=str(tmp_path), submission_format=file_format
    )
    for number, file in enumerate(files, 1):
        ring = _ring(10 * number, 0)
        dataset_dict = {"file_name": file, "image_id": number}
        if annotated:
            dataset_dict["texts"] = TextInstances([np.reshape(ring, (-1, 2))])
        evaluator.process([dataset_dict], [_output([ring], [0.9])])
    results = evaluator.evaluate()
    path = tmp_path / "submission_x.zip"
    if not path.exists():
        return results, None
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert len(names) == len(set(names))
        return results, {name: int(archive.read(name).split(b",")[0]) for name in names}


def test_images_of_one_name_are_all_submitted(tmp_path, caplog):
    files = ["cam1/frame.png", "cam2/frame.png", "cam2/frame_3.png", "cam1/Frame_3.PNG"]
    _, content = _archive(tmp_path, files, "icdar2015")
    assert content == {
        "res_cam1_frame.txt": 10,
        "res_cam2_frame.txt": 20,
        "res_cam2_frame_3.txt": 30,
        "res_cam1_Frame_3.txt": 40,
    }
    assert "x: 4 images share their name with another" in caplog.text
    caplog.clear()
    _, content = _archive(tmp_path, ["a/1.jpg", "a/2.jpg"], "icdar2015")
    assert content == {"res_1.txt": 10, "res_2.txt": 20}
    assert not [record for record in caplog.records if record.levelname != "INFO"]


@pytest.mark.parametrize(
    ("file_format", "files"),
    [("icdar2017", ["img_1.jpg", "ts_img_1.jpg"]), ("ctw1500", ["7.jpg", "007.jpg"])],
)
def test_a_format_without_room_for_two_names(tmp_path, caplog, file_format, files):
    """The score is there; with no ground truth there is nothing else, so it is an error."""
    results, content = _archive(tmp_path, files, file_format)
    assert results["text"]["hmean"] == 100
    assert content is None
    assert "no submission is written: the images" in caplog.text
    assert (tmp_path / "text_results_x.json").is_file()
    with pytest.raises(ValueError, match=r"the images .* and .* would both be"):
        _archive(tmp_path, files, file_format, annotated=False)


def test_two_images_of_one_number_in_arts_json(tmp_path):
    detections = {stem: ([], []) for stem in ("gt_1", "test_1")}
    with pytest.raises(ValueError, match="'gt_1' and 'test_1' would both be res_1"):
        write_submission(tmp_path / "out.json", detections, "art")
    assert not list(tmp_path.iterdir())


def test_digits_of_other_scripts_are_no_numbers(tmp_path):
    _, content = _archive(tmp_path, ["3.jpg", "\u0663.jpg", "\u00b2.jpg"], "ctw1500")
    assert content == {"0000003.txt": 10, "\u0663.txt": 20, "\u00b2.txt": 30}


def test_submission_quads():
    counter_clockwise = np.reshape(_ring(0, 0), (4, 2))[::-1]
    quad = to_quad(counter_clockwise)
    # The server's own test: the sum of (x2 - x1) * (y2 + y1) is not positive when clockwise.
    nxt = np.roll(quad, -1, axis=0)
    assert ((nxt[:, 0] - quad[:, 0]) * (nxt[:, 1] + quad[:, 1])).sum() < 0
    assert set(map(tuple, quad)) == {(0, 0), (10, 0), (10, 10), (0, 10)}
    hexagon = np.array([[0, 0], [5, 0], [10.4, 0], [10.4, 4], [5, 4], [0, 4]])
    assert set(map(tuple, to_quad(hexagon))) == {(0, 0), (10, 0), (10, 4), (0, 4)}


def _gather_worker(rank, path, queue):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{path}", rank=rank, world_size=2
    )
    comm.create_local_process_group(2)
    evaluator = TextEvaluator(dataset_name="toy")
    evaluator.process([INPUTS[rank]], [OUTPUTS[rank]])
    queue.put((rank, evaluator.evaluate()))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_score_of_one(tmp_path):
    context = mp.get_context("fork")
    queue = context.Queue()
    workers = [
        context.Process(target=_gather_worker, args=(rank, tmp_path / "store", queue))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    results = dict(queue.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join()
    evaluator = TextEvaluator(dataset_name="toy")
    evaluator.process(INPUTS, OUTPUTS)
    assert results[0] == evaluator.evaluate()
    assert results[1] is None


def test_real_test_words_as_detections(real_icdar2015):
    evaluator = TextEvaluator(get_cfg(), "icdar2015_test")
    for dataset_dict in DatasetCatalog.get("icdar2015_test"):
        texts = TextInstances.from_annotations(dataset_dict["annotations"])
        found = _output(texts.polygons, [1.0] * len(texts))
        evaluator.process([dataset_dict | {"texts": texts}], [found])
    assert evaluator.evaluate()["text"] == {"precision": 100, "recall": 100, "hmean": 100}


def test_restored_images_are_measured_in_their_restored_pixels(real_icdar2015):
    """Squeezed images: what the test mapper hands to model and evaluator fits together."""
    cfg = get_cfg()
    mapper = DetectionMapper(cfg, is_train=False)
    evaluator = TextEvaluator(cfg, "icdar2015_trainval_val")
    for dataset_dict in DatasetCatalog.get("icdar2015_trainval_val")[:4]:
        sample = mapper(dataset_dict)
        assert (sample["height"], sample["width"]) == (720, 1280)
        original = _corners(real_icdar2015, dataset_dict)
        scale = (1280 / dataset_dict["width"], 720 / dataset_dict["height"])
        restored = [quad * scale for quad in original]
        evaluator.process([sample], [_output(restored, [1.0] * len(restored))])
    assert evaluator.evaluate()["text"]["hmean"] == 100


def _corners(root, dataset_dict):
    name = f"gt_{Path(dataset_dict['file_name']).stem}.txt"
    text = (root / "ch4_training_localization_transcription_gt" / name).read_text("utf-8-sig")
    return [np.reshape([int(v) for v in line.split(",")[:8]], (4, 2)) for line in text.splitlines()]


GT_FILES = {
    "icdar2015": ("gt_img_{}.txt", lambda p: ",".join(p) + ",###", "img_{}"),
    "icdar2017": ("gt_img_{}.txt", lambda p: ",".join(p) + ",Latin,a", "img_{}"),
    "icdar2013": ("gt_img_{}.txt", lambda p: f'{p[0]},{p[1]},{p[4]},{p[5]},"a"', "img_{}"),
    "ctw1500": ("000100{}.txt", lambda p: ",".join(p + p[-2:] * 10) + ",####a", "100{}"),
    "totaltext": (
        "poly_gt_img{}.txt",
        lambda p: (
            f"x: [[{' '.join(p[::2])}]], y: [[{' '.join(p[1::2])}]], ornt: [u'h'], "
            "transcriptions: [u'a']"
        ),
        "img{}",
    ),
    "td500": ("IMG_{}.gt", lambda p: f"0 0 {p[0]} {p[1]} 10 10 0.0", "IMG_{}"),
}


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_every_protocol_scores_its_own_submission_alike(tmp_path, protocol):
    """Dispatch by evaluator_type; the archive measured by files gives the score of the run."""
    layout = PROTOCOLS[protocol].file_format or "icdar2015"
    name, line, stem = GT_FILES[layout]
    dataset = f"toy_{protocol}"
    MetadataCatalog.get(dataset).evaluator_type = protocol
    evaluator = TextEvaluator(get_cfg(), dataset, str(tmp_path))
    (tmp_path / "gt").mkdir()
    dont_care = layout == "icdar2015"  # its words here are all ###, but for one file
    for image in (1, 2):
        rings = [_ring(20 * i, 5 * image) for i in range(3)]
        words = [",".join(str(int(v)) for v in ring).split(",") for ring in rings]
        lines = [line(word) for word in words]
        if dont_care and image == 1:
            lines = [text.replace("###", "word") for text in lines]
        (tmp_path / "gt" / name.format(image)).write_text("\n".join(lines))
        sample = _input(image, [(ring, int(dont_care and image == 2)) for ring in rings])
        sample["file_name"] = f"folder/{stem.format(image)}.jpg"
        found = [_ring(0, 5 * image), _ring(21, 5 * image), _ring(70, 70)]
        evaluator.process([sample], [_output(found, [0.9, 0.8, 0.7])])
    scores = evaluator.evaluate()["text"]
    totals = evaluate_files(
        tmp_path / "gt", tmp_path / f"submission_{dataset}.zip", protocol
    ).totals
    assert 0 < totals.hmean < 1
    for key, value in scores.items():
        assert 100 * getattr(totals, key) == pytest.approx(value)
