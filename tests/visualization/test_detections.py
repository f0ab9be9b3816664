"""Pictures of an evaluation's images."""

import json

import cv2
from detectron2.data import DatasetCatalog
from helpers.miniatures import image

from vlpt_d2.visualization.detections import draw_results


def test_no_picture_replaces_another(tmp_path):
    names = ["a/frame.png", "b/frame.png", "a/frame_2.png", "a/sheet.png", "b/Frame.png"]
    dicts = []
    for number, name in enumerate(names):
        # Told apart by their widths.
        image(tmp_path / name, size=(40 + number, 30))
        record = {"file_name": str(tmp_path / name), "height": 30, "width": 40 + number}
        dicts.append(record | {"image_id": number, "annotations": []})
    DatasetCatalog.register("drawn_clash", lambda: dicts)
    try:
        rows = [{"image_id": n, "hmean": 0.5, "polygons": [], "scores": []} for n in range(5)]
        report = tmp_path / "report.json"
        report.write_text(json.dumps({"dataset": "drawn_clash", "images": rows}))
        sheet = draw_results(report, tmp_path / "out")
    finally:
        DatasetCatalog.remove("drawn_clash")
    pictures = [path for path in (tmp_path / "out").iterdir() if path != sheet]
    assert len({path.name.casefold() for path in pictures}) == 5
    widths = {cv2.imread(str(path)).shape[1] for path in pictures}
    assert widths == {40, 41, 42, 43, 44}
