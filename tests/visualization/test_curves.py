"""Metrics files to curves and pictures."""

import json

import cv2
import pytest

from vlpt_d2.visualization.curves import plot_pretraining, read_metrics


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def test_the_later_line_of_an_iteration_counts(tmp_path):
    rows = [
        {"iteration": 19, "loss": 3.0},
        {"iteration": 39, "loss": 2.0, "pretrain/mlm_accuracy": 10.0},
        {"iteration": 39, "loss": 1.5, "note": "text"},
    ]
    curves = read_metrics(write(tmp_path / "metrics.json", rows))
    assert curves == {"loss": [(19, 3.0), (39, 1.5)], "pretrain/mlm_accuracy": [(39, 10.0)]}


def test_broken_line_is_named(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text('{"iteration": 1}\n{"itera')
    with pytest.raises(ValueError, match=r"metrics.json, line 2: no JSON object"):
        read_metrics(path)


def test_picture_is_written(tmp_path):
    rows = [
        {"iteration": i, "pretrain/mlm_accuracy": 10.0 * i, "pretrain/shuffled_mlm_accuracy": 2.0}
        for i in range(5)
    ]
    plot_pretraining(write(tmp_path / "metrics.json", rows), tmp_path / "curve.png", "title")
    picture = cv2.imread(str(tmp_path / "curve.png"))
    assert picture.shape[1] > 1000
    # matplotlib's tab:blue, in BGR, is the colour of the curve.
    assert (picture == (180, 119, 31)).all(axis=2).any()


def test_pointing_has_a_panel_where_it_was_measured(tmp_path):
    rows = [{"iteration": i, "pretrain/mlm_accuracy": 5.0 * i} for i in range(4)]
    plot_pretraining(write(tmp_path / "metrics.json", rows), tmp_path / "three.png")
    for row in rows:
        row |= {"pretrain/pointing_accuracy": 20.0, "pretrain/pointing_centre": 11.0}
    plot_pretraining(write(tmp_path / "metrics.json", rows), tmp_path / "four.png")
    three, four = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("three", "four"))
    assert 3 * four.shape[1] == 4 * three.shape[1]
