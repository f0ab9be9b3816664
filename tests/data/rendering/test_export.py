import json

import cv2
import numpy as np
import pytest
from helpers.locks import held_by_another
from shapely import Polygon

from vlpt_d2.cli.main import main
from vlpt_d2.data.datasets.icdar2015 import read_icdar2015
from vlpt_d2.data.rendering import render_sample
from vlpt_d2.data.rendering.export import CorpusOrder, write_corpus
from vlpt_d2.utils.locks import FolderInUseError

_SETTINGS = {"curved": 0.5, "fonts": ("matplotlib",), "size": (128, 160)}
_ORDER = CorpusOrder("quickstart_detection", _SETTINGS, 3, 10, 6, "png")


def _contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "alone"
    assert write_corpus(folder, _ORDER)["images"] == 6
    return folder


def test_files_hold_what_is_rendered_on_the_fly(corpus):
    coco = json.loads((corpus / "coco.json").read_text())
    for number in range(1, 7):
        spec = {"preset": _ORDER.preset, "settings": _SETTINGS, "seed": 3, "index": 9 + number}
        image, texts = render_sample(spec)
        stored = cv2.imread(str(corpus / "images" / f"img_{number}.png"))
        np.testing.assert_array_equal(stored[..., ::-1], image)
        records = [a for a in coco["annotations"] if a["image_id"] == number]
        assert [r["text"] for r in records] == texts.words
        for record, ring in zip(records, texts.polygons):
            np.testing.assert_allclose(record["segmentation"][0], ring.ravel(), atol=0.006)
            assert record["area"] == pytest.approx(Polygon(ring).area, rel=0.01)


def test_ground_truth_is_read_by_the_icdar_reader(corpus):
    dicts, _ = read_icdar2015(corpus / "images", corpus / "gt")
    assert len(dicts) == 6
    coco = json.loads((corpus / "coco.json").read_text())
    words = sorted(a["text"] for a in coco["annotations"])
    assert sorted(a["text"] for d in dicts for a in d["annotations"]) == words
    assert {(d["height"], d["width"]) for d in dicts} == {(128, 160)}


def test_number_of_workers_does_not_matter(corpus, tmp_path):
    write_corpus(tmp_path / "two", _ORDER, workers=2)
    assert _contents(tmp_path / "two") == _contents(corpus)


def test_interrupted_run_goes_on(corpus, tmp_path, monkeypatch):
    import vlpt_d2.data.rendering.export as export

    render = export._render_one

    def stop_at_four(task):
        if task[2] == 4:
            raise KeyboardInterrupt
        return render(task)

    monkeypatch.setattr(export, "_render_one", stop_at_four)
    folder = tmp_path / "resumed"
    with pytest.raises(KeyboardInterrupt):
        write_corpus(folder, _ORDER)
    # A power cut in the middle of a line.
    with (folder / "progress.jsonl").open("a") as file:
        file.write('{"number": 4, "si')
    monkeypatch.setattr(export, "_render_one", render)
    assert write_corpus(folder, _ORDER)["resumed"] == 3
    assert _contents(folder) == _contents(corpus)
    assert write_corpus(folder, _ORDER)["resumed"] == 6


def test_another_corpus_in_the_folder_is_refused(corpus):
    order = CorpusOrder("quickstart_detection", _SETTINGS, 4, 10, 6, "png")
    with pytest.raises(ValueError, match=r"another corpus \(different: seed"):
        write_corpus(corpus, order)


@pytest.mark.parametrize("name, content", [("render.json", "{"), ("coco.json", "{}")])
def test_a_damaged_file_of_an_earlier_run_is_named(corpus, tmp_path, name, content):
    for kept in ("render.json", "coco.json"):
        (tmp_path / kept).write_bytes((corpus / kept).read_bytes())
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=f"{name} is damaged: name another folder"):
        write_corpus(tmp_path, _ORDER)


def test_command_line(tmp_path, capsys):
    folder = tmp_path / "cli"
    arguments = ["render", str(folder), "--preset", "quickstart", "--count", "2"]
    assert main([*arguments, "--set", "size=(64, 80)", "--set", "words_per_image=(1, 1)"]) == 0
    assert cv2.imread(str(folder / "images" / "img_2.jpg")).shape == (64, 80, 3)
    assert "2 images" in capsys.readouterr().out
    assert main([*arguments, "--set", "sise=3"]) == 2
    assert "unknown render setting sise" in capsys.readouterr().err


def test_two_renderings_into_one_folder(tmp_path):
    order = CorpusOrder("quickstart", {}, 0, 0, 1)
    with held_by_another(tmp_path / "out"), pytest.raises(FolderInUseError):
        write_corpus(tmp_path / "out", order)
    (tmp_path / "out/render.json.part").write_text("{")  # of a run that was killed
    assert write_corpus(tmp_path / "out", order)["images"] == 1
