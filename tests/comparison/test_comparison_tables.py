"""Means, ranges and conclusions by hand, and the files of whole and partial grids."""

import csv
import itertools

import cv2
import pytest

from vlpt_d2.cli.main import main
from vlpt_d2.comparison.grid import read_grid
from vlpt_d2.comparison.report import write_report
from vlpt_d2.comparison.run import RunState
from vlpt_d2.comparison.scores import (
    NO_CONCLUSION,
    ArmScores,
    SeedValues,
    chance_of_separation,
    compare,
    conclusion,
    count_states,
)
from vlpt_d2.visualization.curves import plot_bands

# As (mean, range): A 12, 10 to 14; B 21, 20 to 22; C 16, 13 to 19.
A, B, C = SeedValues((10.0, 14.0)), SeedValues((22.0, 20.0)), SeedValues((13.0, 19.0))


def test_spread_by_hand():
    assert (A.mean, A.low, A.high) == (12.0, 10.0, 14.0)
    assert A.std == pytest.approx(8**0.5)
    assert str(A) == "12.0 (10.0 to 14.0)"
    assert str(SeedValues((7.25,))) == "7.2" and SeedValues((7.25,)).std is None
    assert SeedValues.of([None, 3.0, float("nan")]) == SeedValues((3.0,))
    assert SeedValues.of([None]) is None


def test_ranges_that_overlap_allow_no_conclusion():
    assert compare(B, A) == "+9.0" and compare(A, B) == "-9.0"
    assert compare(B, C) == "+5.0"
    assert compare(C, A) == compare(A, C) == NO_CONCLUSION
    # They touch; one lies inside the other; a single seed.
    assert compare(SeedValues((14.0, 15.0)), A) == NO_CONCLUSION
    assert compare(SeedValues((11.0, 12.0)), A) == NO_CONCLUSION
    assert compare(SeedValues((90.0,)), A) == NO_CONCLUSION
    assert compare(None, A) == ""


def cell(arm, spread):
    return ArmScores("DB", "ICDAR2015", arm, {}, {"hmean": spread} if spread else {})


def test_conclusion_in_words():
    text = conclusion([cell("A", A), cell("B", B), cell("C", C), cell("D", None)])
    assert text == "The highest mean hmean is B's. It lies above A (+9.0), C (+5.0)."
    text = conclusion([cell("A", A), cell("C", C)])
    assert text == "The highest mean hmean is C's. No conclusion against A."
    assert conclusion([cell("A", None), cell("C", C)]) == "Only C is measured yet."
    assert conclusion([cell("A", None)]) == "Nothing is measured yet."


@pytest.mark.parametrize("seeds", [2, 3])
def test_chance_of_separation_by_counting_all_orders(seeds):
    apart = total = 0
    for mine in itertools.combinations(range(2 * seeds), seeds):
        other = set(range(2 * seeds)) - set(mine)
        apart += max(mine) < min(other) or max(other) < min(mine)
        total += 1
    assert chance_of_separation(seeds) == pytest.approx(apart / total)


def test_states_are_counted():
    states = [RunState(s) for s in ("finished", "not run", "failed", "not run")]
    assert count_states(states) == "1 of 4 (2 not run, 1 failed)"
    assert count_states(states[:1]) == "1"


SCORES = {"vlpt/seed_1": 20.0, "vlpt/seed_2": 22.0, "random/seed_1": 10.0, "random/seed_2": 14.0}


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_report_of_a_whole_grid(compare_grid, grid_file, tmp_path):
    compare_grid(scores=SCORES)
    report = write_report(read_grid(str(grid_file)), tmp_path / "docs")
    assert report.complete and not report.problems
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in report.text.splitlines()]
    scores = ["13.0 (11.0 to 15.0)", "11.0 (9.0 to 13.0)", "12.0 (10.0 to 14.0)"]
    assert ["random", *scores, "", "-9.0", "2"] in lines
    scores = ["22.0 (21.0 to 23.0)", "20.0 (19.0 to 21.0)", "21.0 (20.0 to 22.0)"]
    assert ["VLPT", *scores, "+9.0", "", "2"] in lines
    assert ["VLPT", "mlm accuracy", "21.0 (20.0 to 22.0)", "2.0 (2.0 to 2.0)"] in lines
    assert "differ by chance in 33% of the cases" in report.text
    assert "GPU" not in report.text
    assert "BINARY_THRESH 0.3, BOX_THRESH 0.6" in report.text

    rows = read_csv(tmp_path / "docs" / "table.csv")
    assert [row["pretraining"] for row in rows] == ["random", "VLPT"]
    assert float(rows[1]["hmean_mean"]) == 21.0 and rows[1]["against_baseline"] == "+9.0"
    assert float(rows[0]["hmean_std"]) == pytest.approx(8**0.5, abs=1e-3)
    runs = read_csv(tmp_path / "docs" / "runs.csv")
    assert len(runs) == 6
    pretraining = runs[1]
    assert pretraining["kind"] == "pre-training" and pretraining["images"] == "80"
    assert float(pretraining["validation_mlm_accuracy"]) == 20.0
    assert len({run["config_sha256"] for run in runs}) == 3  # one for both seeds
    assert cv2.imread(str(tmp_path / "docs" / "hmean.png")).shape[0] > 300


def test_memory_of_gpus_is_shown_where_there_are_any(
    compare_grid, grid_file, tmp_path, monkeypatch
):
    monkeypatch.setenv("FAKE_GPU_MEMORY", '{"vlpt/seed_1": 700, "vlpt/seed_2": 900}')
    compare_grid()
    text = write_report(read_grid(str(grid_file)), tmp_path / "docs").text
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines()]
    column = next(line for line in lines if "peak GPU MiB" in line).index("peak GPU MiB")
    shown = {line[0]: line[column] for line in lines if len(line) > column}
    assert shown["VLPT"] == shown["DB on ICDAR2015 from VLPT"] == "900"
    assert shown["DB on ICDAR2015 from random"] == "0"
    memory = [row["gpu_memory_mib"] for row in read_csv(tmp_path / "docs" / "runs.csv")]
    assert sorted(memory) == ["0", "0", "700", "700", "900", "900"]


def test_report_of_a_partial_grid(compare_grid, grid_file, tmp_path):
    compare_grid(plan={"finetune/db-icdar2015/vlpt": ["fail"], "random/seed_2": ["fail"]})
    report = write_report(read_grid(str(grid_file)))
    assert not report.complete
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in report.text.splitlines()]
    assert ["VLPT", *["not run"] * 3, "", "", "0 of 2 (2 failed)"] in lines
    assert ["random", "51.0", "49.0", "50.0", "", "", "1 of 2 (1 failed)"] in lines
    assert "Only random is measured yet." in report.text


def test_stale_results_are_left_out(compare_grid, grid_file, tmp_path):
    compare_grid(scores=SCORES)
    config = tmp_path / "pretrain.yaml"
    config.write_text(config.read_text().replace("8", "9"))
    compare_grid()
    report = write_report(read_grid(str(grid_file)))
    assert "VLPT | not run" in " ".join(report.text.split()) and "2 stale" in report.text
    assert len(report.problems) == 4 and "must not be mixed" in report.problems[0]


def test_the_verb_reports_and_says_what_is_missing(compare_grid, grid_file, capsys):
    assert main(["compare", str(grid_file), "--report-only"]) == 1
    assert "Nothing is measured yet." in capsys.readouterr().out
    compare_grid()
    assert main(["compare", str(grid_file), "--report-only"]) == 0
    assert "results.md" in capsys.readouterr().out
    # Options behind a flag reach the runs: they are of another config now.
    assert main(["compare", str(grid_file), "--report-only", "SOLVER.MAX_ITER", "3"]) == 1
    assert "SOLVER.MAX_ITER was 10, is 3" in capsys.readouterr().err
    assert main(["compare", "no_such_grid"]) == 2
    assert "no grid 'no_such_grid'" in capsys.readouterr().err


def test_bands_of_common_iterations(tmp_path):
    runs = [[(100, 5.0), (200, 9.0), (300, 9.0)], [(100, 7.0), (200, 11.0)]]
    plot_bands({"DB": {"VLPT": runs, "random": [[(100, 1.0)]]}}, tmp_path / "p.png", "hmean")
    picture = cv2.imread(str(tmp_path / "p.png"))
    for colour in ((180, 119, 31), (14, 127, 255)):  # C0 and C1, in BGR
        assert (picture == colour).all(axis=2).any()
