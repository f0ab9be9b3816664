"""Files of every benchmark in their own formats: read, measured, and refused in words."""

import json
import zipfile

import numpy as np
import pytest
import scipy.io
from helpers.miniatures import CTW

from vlpt_d2.cli.main import main
from vlpt_d2.evaluation.file_evaluation import evaluate_files
from vlpt_d2.evaluation.files import FileError, file_formats, load_set
from vlpt_d2.evaluation.protocols import PROTOCOLS as ALL_PROTOCOLS

# Those that measure images one by one.
PROTOCOLS = {n: p for n, p in ALL_PROTOCOLS.items() if p.match_set is None}

# One word of 20 by 10 pixels at (10, 20), and a don't-care region at (100, 100); the detector finds
# the word, reports one in the region, and a false alarm. The second image has a word; its result
# file is missing.
QUAD = "10,20,30,20,30,30,10,30"
REGION = "100,100,140,100,140,120,100,120"
ALARM = "200,200,220,200,220,210,200,210"
CURVE = (
    ",".join(f"{x},20" for x in range(10, 31, 3)[:7])
    + ","
    + ",".join(f"{x},30" for x in range(28, 9, -3)[:7])
)


def _swap(line):
    """x,y -> y,x."""
    numbers = line.split(",")
    return ",".join(v for pair in zip(numbers[1::2], numbers[::2]) for v in pair)


def _write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def _word(ring, text, ornt):
    xs, ys = ring.split(",")[::2], ring.split(",")[1::2]
    return (
        f"x: [[{' '.join(xs)}]], y: [[{' '.join(ys)}]], ornt: [u'{ornt}'], "
        f"transcriptions: [u'{text}']"
    )


def _icdar2015(root):
    gt = _write(
        root / "gt",
        {
            "gt_img_1.txt": f"\ufeff{QUAD},a, word\r\n{REGION},###\r\n",
            "gt_img_2.txt": f"{QUAD},b\r\n",
        },
    )
    return gt, _write(root / "dt", {"res_img_1.txt": f"{QUAD}\r\n{REGION}\r\n{ALARM}\r\n"})


def _icdar2017(root):
    gt = _write(
        root / "gt",
        {
            "gt_img_1.txt": f"{QUAD},Latin,a, word\n{REGION},None,###\n",
            "gt_img_2.txt": f"{QUAD},Arabic,b\n",
        },
    )
    lines = f"{ALARM},0.2\n{REGION},0.9\n{QUAD},0.8\n"
    return gt, _write(root / "dt", {"res_img_1.txt": lines})


def _icdar2013(root):
    gt = _write(
        root / "gt",
        {
            "gt_img_1.txt": '10, 20, 30, 30, "a, word"\r\n100, 100, 140, 120, "###"\r\n',
            "gt_img_2.txt": '10 20 30 30 "b"\r\n',
        },
    )
    lines = "10,20,30,30\n100,100,140,120\n200,200,220,210\n"
    return gt, _write(root / "dt", {"res_img_1.txt": lines})


def _ctw1500(root):
    gt = _write(
        root / "gt",
        {"0001001.txt": f"{CURVE},####a, line\n", "0001002.txt": f"{CURVE},####b\n"},
    )
    return gt, _write(root / "dt", {"0001001.txt": f"{CURVE}\n{ALARM}\n"})


def _total_text(root):
    gt = _write(
        root / "gt",
        {
            "poly_gt_img1.txt": f"{_word(QUAD, 'a', 'h')}\n{_word(REGION, '#', '#')}\n",
            "poly_gt_img2.txt": _word(QUAD, "b", "c"),
        },
    )
    lines = "\n".join(_swap(line) for line in (QUAD, REGION, ALARM))
    return gt, _write(root / "dt", {"img1.txt": lines})


def _td500(root):
    gt = _write(
        root / "gt",
        {
            "IMG_0001.gt": "0 0 10 20 20 10 0.0\n1 1 100 100 40 20 0.0\n",
            "IMG_0002.gt": "0 0 10 20 20 10 0.0\n",
        },
    )
    return gt, _write(root / "dt", {"IMG_0001.txt": f"{QUAD}\n{REGION}\n{ALARM}\n"})


FILES = {
    "icdar2015": _icdar2015,
    "icdar2017": _icdar2017,
    "icdar2013": _icdar2013,
    "ctw1500": _ctw1500,
    "totaltext": _total_text,
    "td500": _td500,
}
# protocol -> matched, ground truths, detections that count.
EXPECTED = {
    "ctw1500": (1, 2, 2),
    "ctw1500-psenet": (1, 1, 2),
    "td500-psenet": (2, 2, 3),
    **{name: (1, 1, 2) for name in PROTOCOLS if name.startswith("totaltext")},
}


def test_every_protocol_names_a_format_that_is_there():
    assert {p.file_format for p in ALL_PROTOCOLS.values()} <= {None, *file_formats()}
    assert set(FILES) == set(file_formats())


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("protocol", sorted(n for n, p in PROTOCOLS.items() if p.file_format))
def test_each_benchmark_in_its_own_format(tmp_path, capsys, protocol, zipped):
    gt, dt = FILES[PROTOCOLS[protocol].file_format](tmp_path)
    if zipped:
        gt, dt = _zip(gt), _zip(dt)
    out = tmp_path / "out" / "score.json"
    args = ["--protocol", protocol, "--gt", str(gt), "--dt", str(dt), "--json", str(out)]
    assert main(["evaluate", *args]) == 0
    report = json.loads(out.read_text())
    matched, num_gt, num_det = EXPECTED.get(protocol, (1, 2, 2))
    assert (report["matched"], report["gt_care"], report["dt_care"]) == (matched, num_gt, num_det)
    assert report["recall"] == pytest.approx(matched / num_gt)
    assert report["precision"] == pytest.approx(matched / num_det)
    assert report["hmean"] == pytest.approx(2 * matched / (num_gt + num_det))
    assert report["images_without_result"] in (["img_2"], ["1002"], ["2"], ["IMG_0002"])
    assert len(report["images"]) == (1 if PROTOCOLS[protocol].only_with_result else 2)
    assert sum(row["gt_care"] for row in report["images"]) == num_gt
    printed = capsys.readouterr().out
    assert f"{report['hmean']:.6f}" in printed
    assert "1 image without result file" in printed


def _zip(folder):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"inner/{file.name}")
        archive.writestr("__MACOSX/._x", "rubbish")
    return path


@pytest.mark.parametrize("name", sorted(FILES))
def test_tiou_takes_any_format(tmp_path, name):
    gt, dt = FILES[name](tmp_path)
    given = name if name in ("icdar2013", "icdar2017") else None  # their names are ICDAR2015's
    evaluation = evaluate_files(gt, dt, "tiou", file_format=given)
    assert evaluation.file_format == name
    assert evaluation.totals.recall_credit == pytest.approx(1)
    assert evaluation.totals.num_gt == 2


def test_ctw1500_formats_are_one(tmp_path):
    """Points, offsets from a corner, XML, and the copy of the TIoU metric."""
    numbers = [int(v) for v in CURVE.split(",")]
    offsets = ",".join(str(v - (10, 20)[i % 2]) for i, v in enumerate(numbers))
    xml = f"<a><image file='x'><box><label>a &amp; b</label><segs>{CURVE}</segs></box></image></a>"
    dt = _write(tmp_path / "dt", {"1001.txt": CURVE})
    for folder, name, content in (
        ("points", "0001001.txt", f"{CURVE},####a"),
        ("offsets", "1001.txt", f"10,20,30,30,{offsets}"),
        ("xml", "1001.xml", xml),
        ("tiou", "0001001.txt", f"{CURVE},CARE"),
    ):
        gt = _write(tmp_path / folder, {name: content})
        assert evaluate_files(gt, dt, "ctw1500").totals.hmean == 1, folder


def test_total_text_from_matlab(tmp_path):
    def row(ring, text, orientation):
        numbers = np.array([int(v) for v in ring.split(",")], dtype=np.int16)
        return ["x:", numbers[None, ::2], "y:", numbers[None, 1::2], text, orientation]

    rows = np.empty((2, 6), dtype=object)
    rows[0], rows[1] = row(QUAD, "a", "c"), row(REGION, "#", "#")
    folder = tmp_path / "gt"
    folder.mkdir()
    scipy.io.savemat(folder / "poly_gt_img1.mat", {"polygt": rows})
    lines = "\n".join(_swap(line) for line in (QUAD, REGION, ALARM))
    evaluation = evaluate_files(
        folder, _write(tmp_path / "dt", {"img1.txt": lines}), "totaltext-deteval"
    )
    assert (evaluation.totals.num_matches, evaluation.totals.num_det) == (1, 2)


def test_ctw1500_psenet_reads_both_orders_and_says_so(tmp_path):
    gt, dt = _ctw1500(tmp_path)
    (dt / "0001001.txt").write_text(f"{_swap(CURVE)}\n{_swap(ALARM)}\n")
    evaluation = evaluate_files(gt, dt, "ctw1500-psenet")
    assert (evaluation.totals.num_matches, evaluation.order) == (1, "yx")
    assert any("y first" in note for note in evaluation.notes)
    # The benchmark's own protocol does not guess, but gives a hint.
    evaluation = evaluate_files(gt, dt, "ctw1500")
    assert (evaluation.totals.num_matches, evaluation.order) == (0, "xy")
    assert any("--order yx" in note for note in evaluation.notes)
    assert evaluate_files(gt, dt, "ctw1500", order="yx").totals.num_matches == 1


def test_fractions_are_cut_off_where_the_script_does(tmp_path):
    gt, dt = _icdar2015(tmp_path)
    (dt / "res_img_1.txt").write_text("10.9,20.9,30.9,20.9,30.9,30.9,10.9,30.9\n")
    evaluation = evaluate_files(gt, dt, "icdar2015")
    assert evaluation.results[0].matches[0][2] == 1.0
    assert sum(n for note, n in evaluation.notes.items() if "fractions" in note) == 1
    images, _ = load_set(gt, dt, "coco")
    assert images[0].det_polygons[0][0].tolist() == [10.9, 20.9]


def test_multi_lingual_detections_are_taken_by_confidence(tmp_path):
    gt, dt = _icdar2017(tmp_path)
    image = load_set(gt, dt, "icdar2017")[0][0]
    assert image.scores == [0.9, 0.8, 0.2]
    assert image.det_polygons[0][0].tolist() == [100, 100]
    # ICDAR2015's script does not sort.
    assert load_set(gt, dt, "icdar2015")[0][0].scores == [0.2, 0.9, 0.8]


def test_quoted_marks_are_dont_care_as_in_the_script(tmp_path):
    gt = _write(tmp_path / "gt", {"gt_img_1.txt": f'{QUAD},"###"\n{QUAD},### \n{QUAD},a,###\n'})
    dt = _write(tmp_path / "dt", {"res_img_1.txt": ""})
    assert load_set(gt, dt, "icdar2015")[0][0].gt_ignore == [True, False, False]


BAD_RESULTS = {
    "res_img_1.txt, line 2: .*3 fields": {"res_img_1.txt": f"{QUAD}\n1,2,3\n"},
    "line 1: .*could not convert": {"res_img_1.txt": QUAD.replace("30", "x")},
    "not finite": {"res_img_1.txt": QUAD.replace("30", "nan")},
    "million": {"res_img_1.txt": QUAD.replace("30", "1e9")},
    r"not a confidence in \[0, 1\]": {"res_img_1.txt": f"{QUAD},7"},
    "line 2: has no confidence": {"res_img_1.txt": f"{QUAD},0.7\n{QUAD}"},
    "no ground truth for it": {"res_img_9.txt": QUAD},
    "no name of a result file": {"img_1.txt": QUAD},
    "no result file": {"readme.md": "x"},
    "null characters": {"res_img_1.txt": b"\0\0\0\0"},
}


@pytest.mark.parametrize("message", BAD_RESULTS)
def test_bad_results_are_refused_with_their_place(tmp_path, capsys, message):
    gt, _ = _icdar2015(tmp_path)
    dt = _write(tmp_path / "bad", BAD_RESULTS[message])
    with pytest.raises(FileError, match=message):
        load_set(gt, dt, "icdar2015")
    args = ["--protocol", "icdar2015", "--gt", str(gt), "--dt", str(dt)]
    assert main(["evaluate", *args]) == 2
    assert "vlpt-d2 evaluate: " in capsys.readouterr().err


def test_bad_ground_truth_and_archives(tmp_path):
    _, dt = _icdar2015(tmp_path)
    gt = _write(tmp_path / "broken", {"gt_img_1.txt": f"{QUAD},a\n1,2,b\n"})
    with pytest.raises(FileError, match=r"gt_img_1.txt, line 2"):
        load_set(gt, dt, "icdar2015")
    with pytest.raises(FileError, match="poly_gt_img1.mat"):
        load_set(gt, dt, "totaltext-pascal")
    with pytest.raises(FileError, match="no such folder"):
        load_set(tmp_path / "nowhere", dt, "icdar2015")
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(FileError, match="no sound zip"):
        load_set(tmp_path / "x.zip", dt, "icdar2015")
    with pytest.raises(FileError, match="no file is named like ground truth"):
        load_set(dt, dt, "tiou")
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("a/gt_img_1.txt", "")
        archive.writestr("b/gt_img_1.txt", "")
    with pytest.raises(FileError, match="twice"):
        load_set(tmp_path / "twice.zip", dt, "icdar2015")


def test_unknown_names(tmp_path, capsys):
    gt, dt = _icdar2015(tmp_path)
    files = ["--gt", str(gt), "--dt", str(dt)]
    assert main(["evaluate", "--protocol", "voc", *files]) == 2
    assert "there are coco, ctw1500" in capsys.readouterr().err
    assert main(["evaluate", "--protocol", "tiou", "--format", "voc", *files]) == 2
    assert "there are icdar2015" in capsys.readouterr().err
    assert main(["evaluate", "--protocol", "icdar2015", "--gt", str(gt)]) == 2
    assert "--dt" in capsys.readouterr().err
    args = ["evaluate", "--protocol", "icdar2015", *files, "--images"]
    assert main([*args, str(tmp_path / "nope"), "--html", str(tmp_path / "page.html")]) == 2
    assert "nope: no such folder of images" in capsys.readouterr().err
    assert main([*args, str(tmp_path)]) == 2
    assert "--images is for the page of --html" in capsys.readouterr().err
    assert main(["evaluate", "--protocol", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in PROTOCOLS)


def test_a_comma_at_the_end_is_put_right_and_counted(tmp_path):
    gt, dt = _icdar2015(tmp_path)
    (dt / "res_img_1.txt").write_text(f"{QUAD},\n")
    images, loaded = load_set(gt, dt, "icdar2015")
    assert len(images[0].det_polygons) == 1
    assert loaded.notes["comma at the end of a line"] == 1


def test_the_servers_direction_is_minded(tmp_path):
    gt, dt = _icdar2015(tmp_path)
    (dt / "res_img_1.txt").write_text("10,20,10,30,30,30,30,20\n")
    evaluation = evaluate_files(gt, dt, "icdar2015")
    assert evaluation.totals.num_matches == 1
    assert sum(n for note, n in evaluation.notes.items() if "not clockwise" in note) == 1


@pytest.mark.parametrize("name", sorted(FILES))
def test_damaged_files_never_crash(tmp_path, name):
    """Bytes changed, cut out and doubled at random: an error of ours, or a score with its notes."""
    gt, dt = FILES[name](tmp_path)
    protocol = next(p for p in PROTOCOLS if PROTOCOLS[p].file_format == name)
    rng = np.random.default_rng(11)
    originals = {path: path.read_bytes() for folder in (gt, dt) for path in folder.iterdir()}
    refused = measured = 0
    for _ in range(60):
        path = sorted(originals)[int(rng.integers(len(originals)))]
        content = bytearray(originals[path])
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(len(content)))
            kind = rng.integers(3)
            if kind == 0:
                content[at] = int(rng.integers(256))
            elif kind == 1:
                del content[at : at + int(rng.integers(1, 9))]
            else:
                content[at:at] = content[at : at + int(rng.integers(1, 9))]
            content = content or bytearray(b"0")
        path.write_bytes(bytes(content))
        try:
            totals = evaluate_files(gt, dt, protocol).totals
            assert 0 <= totals.hmean <= 2
            measured += 1
        except FileError as error:
            assert path.name in str(error)
            refused += 1
        path.write_bytes(originals[path])
    assert refused >= 5
    assert measured >= 3


@pytest.mark.parametrize("archived", [False, True])
def test_odd_names_of_images(tmp_path, archived):
    names = ["²", "²3", "٣", "3", "03", "中文 ½", "n" * 240, "two\nlines", " a ", "a,b;'<&>"]
    for kind, prefix, line in (("gt", "gt_", f"{QUAD},a"), ("dt", "res_", QUAD)):
        if archived:
            with zipfile.ZipFile(tmp_path / kind, "w") as archive:
                for name in names:
                    archive.writestr(f"{prefix}{name}.txt", line)
        else:
            _write(tmp_path / kind, {f"{prefix}{name}.txt": line for name in names})
    evaluation = evaluate_files(tmp_path / "gt", tmp_path / "dt", "icdar2015")
    assert {image.name for image in evaluation.images} == set(names)
    assert evaluation.totals.num_matches == len(names)
    assert not evaluation.notes
    report = tmp_path / "page.html"
    status = ["evaluate", "--gt", str(tmp_path / "gt"), "--dt", str(tmp_path / "dt")]
    assert main([*status, "--protocol", "icdar2015", "--html", str(report)]) == 0


def test_offsets_of_ctw1500_given_as_results(tmp_path):
    ring = CTW.ravel().tolist()
    offsets = [10, 20, 50, 40, *(CTW - [10, 20]).ravel().tolist()]
    line = ",".join(map(str, offsets))
    gt = _write(tmp_path / "gt", {"1001.txt": f"{line}\n"})
    for dt in (line, ",".join(map(str, ring)), f"{line},0.5"):
        dt = _write(tmp_path / "dt", {"1001.txt": f"{dt}\n"})
        assert evaluate_files(gt, dt, "ctw1500").totals.hmean == 1
    notes = evaluate_files(gt, dt, "ctw1500").notes
    assert notes["box and offsets, as in the first release's ground truth"] == 1
    # Sixteen points in pixels stay what they are.
    angles = np.arange(16) / 16 * 2 * np.pi
    ring = np.stack([100 + 90 * np.cos(angles), 100 + 90 * np.sin(angles)], axis=1).round(1)
    dt = _write(tmp_path / "dt", {"1001.txt": ",".join(map(str, ring.ravel().tolist()))})
    (detection,) = load_set(gt, dt, "ctw1500")[0][0].det_polygons
    np.testing.assert_array_equal(detection, ring)


def test_icdar2013_ground_truth_of_eight_numbers(tmp_path):
    quad = "20,10,118,30,110,70,12,50"
    gt = _write(tmp_path / "gt", {"gt_img_1.txt": f'{quad},"word"\n'})
    dt = _write(tmp_path / "dt", {"res_img_1.txt": f"{quad}\n"})
    assert evaluate_files(gt, dt, "icdar2013").totals.hmean == 1


def test_archives_larger_than_any_benchmark(tmp_path, monkeypatch):
    """Each file is small enough, all together are not."""
    monkeypatch.setattr("vlpt_d2.evaluation.sources._LARGEST_ARCHIVE", 1000)
    dt = _write(tmp_path / "dt", {"res_img_1.txt": QUAD})
    for count, refused in ((2, False), (3, True)):
        with zipfile.ZipFile(tmp_path / "gt.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for i in range(count):
                archive.writestr(f"gt_img_{i}.txt", f"{QUAD},{'a' * 400}")
        if refused:
            with pytest.raises(FileError, match=r"gt\.zip: its files have 1\d\d\d bytes unpacked"):
                load_set(tmp_path / "gt.zip", dt, "icdar2015")
        else:
            assert len(load_set(tmp_path / "gt.zip", dt, "icdar2015")[0]) == 2


def test_an_archive_member_without_a_name(tmp_path):
    dt = _write(tmp_path / "dt", {"res_img_1.txt": QUAD})
    with zipfile.ZipFile(tmp_path / "gt.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(""), "x")
    with pytest.raises(FileError, match=r"gt\.zip: holds a file without a name"):
        load_set(tmp_path / "gt.zip", dt, "icdar2015")


def test_a_score_above_one_is_noted(tmp_path):
    gt = _write(tmp_path / "gt", {"IMG_1.gt": "0 0 10 20 40 20 0\n1 0 10 20 40 20 0\n"})
    dt = _write(tmp_path / "dt", {"IMG_1.txt": "10,20,50,20,50,40,10,40\n"})
    evaluation = evaluate_files(gt, dt, "td500-psenet")
    assert evaluation.totals.precision == 2
    note = "a score above 1, as by the script: one detection is credited to several texts"
    assert evaluation.notes[note] == 1
    assert not evaluate_files(gt, dt, "td500").notes
