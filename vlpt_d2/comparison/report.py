"""A comparison's tables and plot as files."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from tabulate import tabulate

from ..visualization.curves import plot_bands, read_metrics
from .grid import Grid
from .run import GridRun, RunState, run_config, state_of
from .scores import (
    SCORES,
    ArmScores,
    SeedValues,
    best_of,
    chance_of_separation,
    compare,
    conclusion,
    count_states,
    detector_cells,
)

__all__ = ["Report", "write_report"]


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        text: the Markdown.
        files: all files.
        problems: messages of runs that are stale or unusable, whose results are left out.
        complete: whether every run of the grid is finished.
    """

    text: str
    files: tuple[Path, ...]
    problems: tuple[str, ...]
    complete: bool


def write_report(grid: Grid, folder: str | Path | None = None) -> Report:
    """Write results.md, table.csv, runs.csv and hmean.png of what is finished.

    Args:
        grid: the comparison; its runs need not be finished.
        folder: where to; the grid's output if not given.
    """
    folder = Path(folder or grid.output)
    folder.mkdir(parents=True, exist_ok=True)
    states = {run: state_of(run) for run in grid.runs}
    cells = detector_cells(grid, states)
    files = [folder / name for name in ("results.md", "table.csv", "runs.csv")]
    plot = folder / "hmean.png"
    if _plot(cells, plot):
        files.append(plot)
    text = _markdown(grid, states, cells, plot in files)
    files[0].write_text(text, encoding="utf-8")
    _write_csv(files[1], list(_table_rows(grid, cells)))
    _write_csv(files[2], [_run_row(run, state) for run, state in states.items()])
    problems = tuple(state.message for state in states.values() if state.message)
    complete = all(state.status == "finished" for state in states.values())
    return Report(text, tuple(files), problems, complete)


def _markdown(
    grid: Grid,
    states: Mapping[GridRun, RunState],
    cells: Mapping[tuple[str, str], Sequence[ArmScores]],
    plotted: bool,
) -> str:
    seeds = ", ".join(map(str, grid.seeds))
    parts = [
        f"# Comparison {grid.name}",
        f"Seeds {seeds}: each decides pre-training and fine-tuning. Percent on the test images; "
        "mean, in brackets the lowest and highest over the seeds. "
        "A difference counts only where the two arms have two seeds or more and their ranges of "
        "hmean do not overlap; else there is no conclusion." + _chance(len(grid.seeds)),
    ]
    for (detector, dataset), row in cells.items():
        parts += [f"## {detector} on {dataset}", _scores(grid, row), conclusion(row)]
        thresholds = _thresholds(row)
        if thresholds:
            parts.append(f"Thresholds: {thresholds}.")
    if plotted:
        parts.append("![hmean on the validation images over the fine-tuning](hmean.png)")
    parts += ["## What the pre-trainings learnt", _pretraining_results(grid, states)]
    parts += ["## What it took", _costs(grid, states), _budget(grid)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _chance(seeds: int) -> str:
    if seeds < 2:
        return " With one seed there is none."
    share = chance_of_separation(seeds)
    return (
        f" Two equal arms of {seeds} seeds each would differ by chance in {share:.0%} of the cases."
    )


def _scores(grid: Grid, row: Sequence[ArmScores]) -> str:
    lines = []
    for cell in row:
        scores = [str(cell.scores[s]) if s in cell.scores else "not run" for s in SCORES]
        lines.append([cell.arm, *scores, *_against(grid, row, cell), cell.seeds])
    headers = ["pre-training", *SCORES, f"against {grid.baseline}", "against the best", "seeds"]
    return _table(lines, headers)


def _against(grid: Grid, row: Sequence[ArmScores], cell: ArmScores) -> list[str]:
    """How far an arm lies above the baseline and above the best; "" for itself."""
    baseline = next((other for other in row if other.arm == grid.baseline), None)
    return [
        "" if other is None or other is cell else compare(cell.hmean, other.hmean)
        for other in (baseline, best_of(row))
    ]


def _thresholds(row: Sequence[ArmScores]) -> str:
    """How the thresholds of one detector's arms come about, each way once."""
    found = set()
    for run, state in ((r, s) for cell in row for r, s in cell.states.items()):
        if state.status != "unusable":
            found.add(_thresholds_of(run_config(run).cfg))
    return "; or ".join(sorted(found))


def _thresholds_of(cfg: CfgNode) -> str:
    if cfg.TEST.THRESHOLDS:
        return "chosen for each run on its validation images, listed in runs.csv"
    node = cfg.MODEL.get(cfg.MODEL.TEXT_HEAD.NAME.removesuffix("Head").upper(), {})
    listed = [f"{key} {value}" for key, value in node.items() if key.endswith("_THRESH")]
    if cfg.TEST.SCORE_THRESH:
        listed.append(f"TEST.SCORE_THRESH {cfg.TEST.SCORE_THRESH}")
    return "fixed by the config, " + ", ".join(listed) if listed else ""


def _pretraining_results(grid: Grid, states: Mapping[GridRun, RunState]) -> str:
    lines = []
    for title, runs in _groups(run for run in grid.runs if not run.dataset):
        results = [states[run].results.get("validation", {}) for run in runs]
        names = list(dict.fromkeys(name for result in results for name in result))
        for name in names:
            group, _, short = name.rpartition("/")
            if short.startswith(("shuffled_", "chance_")):
                continue
            control = SeedValues.of(result.get(f"{group}/shuffled_{short}") for result in results)
            spread = SeedValues.of(result.get(name) for result in results)
            lines.append([title, short.replace("_", " "), spread, control])
        if not names:
            lines.append([title, "not run", None, None])
    headers = ["pre-training", "on its validation images", "%", "% with shuffled images"]
    return _table(lines, headers) if lines else ""


def _costs(grid: Grid, states: Mapping[GridRun, RunState]) -> str:
    lines = []
    on_gpu = any(state.results.get("gpu_memory_mib") for state in states.values())
    for title, runs in _groups(grid.runs):
        records = [states[run].record for run in runs if states[run].status == "finished"]
        usable = [run for run in runs if states[run].status != "unusable"]
        config = run_config(usable[0]) if usable else None
        # Wall-clock depends on what else the machine does, the processor's time hardly.
        minutes = [
            SeedValues.of(record[key] / 60 for record in records if key in record)
            for key in ("seconds", "cpu_seconds")
        ]
        lines.append(
            [
                title,
                runs[0].config,
                config and config.sha256[:12],
                config and config.images,
                *(spread and f"{spread.mean:.1f}" for spread in minutes),
                max((record["peak_memory_mib"] for record in records), default=None),
                *([max(states[run].results.get("gpu_memory_mib", 0) for run in runs)] * on_gpu),
                ", ".join(sorted({record["device"] for record in records})) or None,
                count_states(states[run] for run in runs),
            ]
        )
    headers = ["run", "config", "its hash", "images", "minutes", "CPU minutes", "peak MiB"]
    headers += [*(["peak GPU MiB"] * on_gpu), "device", "seeds"]
    return _table(lines, headers)


def _budget(grid: Grid) -> str:
    """Say so where pre-trainings saw different numbers of images."""
    budgets = {}
    for run in grid.runs:
        try:
            images = None if run.dataset else run_config(run).images
        except (ValueError, OSError):
            continue
        if images is not None:
            budgets[run.arm] = images
    if len(set(budgets.values())) < 2:
        return ""
    listed = ", ".join(f"{arm} {images}" for arm, images in budgets.items())
    return f"The pre-trainings saw different numbers of images: {listed}."


def _groups(runs: Any) -> Iterator[tuple[str, list[GridRun]]]:
    """Runs that differ by their seed alone, with a name."""
    groups: dict[tuple[str, str, str], list[GridRun]] = {}
    for run in runs:
        groups.setdefault((run.dataset, run.detector, run.arm), []).append(run)
    # Pre-trainings first.
    for (dataset, detector, arm), members in sorted(groups.items(), key=lambda g: bool(g[0][0])):
        part = f"{detector} on {dataset} from {arm}"
        yield part if dataset else f"{arm} ({detector})" if detector else arm, members


def _table(lines: list[list[Any]], headers: list[str]) -> str:
    # Cells are text already; tabulate would take "12e4567" for a number.
    return tabulate(lines, headers, "pipe", missingval="", disable_numparse=True)


def _plot(cells: Mapping[tuple[str, str], Sequence[ArmScores]], output: Path) -> bool:
    """Draw hmean on the validation images; False where none is finished or has any."""
    panels: dict[str, dict[str, list[list[tuple[int, float]]]]] = {}
    for (detector, dataset), row in cells.items():
        arms: dict[str, list[list[tuple[int, float]]]] = {}
        for cell in row:
            for run, state in cell.states.items():
                if state.status != "finished":
                    continue
                points = read_metrics(run.folder / "metrics.json", lenient=True).get("text/hmean")
                if points:
                    arms.setdefault(cell.arm, []).append([(i + 1, v) for i, v in points])
        if arms:
            panels[f"{detector} on {dataset}"] = arms
    if panels:
        plot_bands(panels, output, "hmean on the validation images, %")
    return bool(panels)


def _table_rows(
    grid: Grid, cells: Mapping[tuple[str, str], Sequence[ArmScores]]
) -> Iterator[dict[str, Any]]:
    for row in cells.values():
        for cell in row:
            line: dict[str, Any] = {
                "detector": cell.detector,
                "dataset": cell.dataset,
                "pretraining": cell.arm,
            }
            line["seeds"] = cell.seeds
            for name in SCORES:
                spread = cell.scores.get(name)
                for part in ("mean", "low", "high", "std"):
                    value = getattr(spread, part) if spread else None
                    line[f"{name}_{part}"] = "" if value is None else round(value, 3)
            line["against_baseline"], line["against_best"] = _against(grid, row, cell)
            yield line


def _run_row(run: GridRun, state: RunState) -> dict[str, Any]:
    config = None if state.status == "unusable" else run_config(run)
    results = state.results.get("test" if run.dataset else "validation", {})
    row = {
        "kind": "fine-tuning" if run.dataset else "pre-training",
        "pretraining": run.arm,
        "detector": run.detector,
        "dataset": run.dataset,
        "seed": run.seed,
        "status": state.status,
    }
    row |= {name: results.get(f"text/{name}", "") for name in SCORES}
    validation = state.results.get("validation", {})
    chosen = state.results.get("thresholds", {})
    row["thresholds"] = " ".join(f"{key} {value:g}" for key, value in chosen.items())
    row["validation_hmean"] = validation.get("text/hmean", "")
    row["validation_mlm_accuracy"] = validation.get("pretrain/mlm_accuracy", "")
    row["images"] = config.images if config and config.images else ""
    for name in ("seconds", "cpu_seconds", "starts", "peak_memory_mib", "device", "commit"):
        row[name] = state.record.get(name, "")
    row["gpu_memory_mib"] = state.results.get("gpu_memory_mib", "")
    row["config"] = run.config
    row["config_sha256"] = state.record.get("config_sha256", config.sha256 if config else "")
    return row


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
