"""The course of a training as a picture."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

matplotlib.use("Agg")


def read_metrics(path: str | Path, lenient: bool = False) -> dict[str, list[tuple[int, float]]]:
    """Read detectron2's ``metrics.json``: name to (iteration, value), by iteration.

    A resumed run repeats the iterations after its last checkpoint; the later line counts.

    Args:
        path: a file of one JSON object a line.
        lenient: leave out damaged lines, such as one that a kill cut off.

    Raises:
        ValueError: a line is damaged; the file and line are named.
    """
    curves: dict[str, dict[int, float]] = {}
    for number, line in enumerate(Path(path).read_text("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            iteration = row["iteration"]
        except (ValueError, TypeError, KeyError) as error:
            if lenient:
                continue
            raise ValueError(
                f"{path}, line {number}: no JSON object with an iteration ({error}); remove the "
                "line"
            ) from error
        for name, value in row.items():
            if name != "iteration" and isinstance(value, int | float):
                curves.setdefault(name, {})[iteration] = value
    return {name: sorted(points.items()) for name, points in curves.items()}


def plot_pretraining(metrics: str | Path, output: str | Path, title: str = "") -> None:
    """Draw validation accuracies and recall with their shuffled-image controls.

    Pointing accuracy has a panel where the run recorded it.

    Args:
        metrics: the run's ``metrics.json``.
        output: picture to write.
        title: above the panels.
    """
    curves = {
        name.removeprefix("pretrain/"): points
        for name, points in read_metrics(metrics).items()
        if name.startswith("pretrain/")
    }
    panels = [
        ("masked words (MLM)", ("mlm_accuracy",)),
        ("words among look-alikes (WIP)", ("wip_accuracy",)),
        ("retrieval, recall@1", ("image_to_text_r1", "text_to_image_r1")),
    ]
    if "pointing_accuracy" in curves:
        panels.append(("attention on the masked word", ("pointing_accuracy",)))
    # The baseline of a panel, by its first key.
    baselines = {
        "image_to_text_r1": (("chance_r1", "chance"),),
        "pointing_accuracy": (
            ("pointing_best_place", "best fixed place"),
            ("pointing_centre", "centre of text"),
        ),
    }
    figure = Figure(figsize=(4 * len(panels), 3.6), layout="constrained")
    for axes, (name, keys) in zip(figure.subplots(1, len(panels)), panels):
        for key, colour in zip(keys, ("tab:blue", "tab:orange")):
            for prefix, style in (("", "-"), ("shuffled_", ":")):
                points = curves.get(prefix + key)
                if points:
                    label = (prefix + key).replace("_", " ")
                    axes.plot(*zip(*points), style, marker=".", color=colour, label=label)
        for (key, label), style in zip(baselines.get(keys[0], ()), ("--", "-.")):
            if key in curves:
                axes.plot(*zip(*curves[key]), style, color="grey", label=label)
        axes.set(title=name, xlabel="iteration", ylabel="%", ylim=(0, None))
        if axes.lines:
            axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    if title:
        figure.suptitle(title)
    figure.savefig(output, dpi=100)


def plot_training(metrics: str | Path, output: str | Path, result: str, title: str) -> None:
    """Draw the loss of a training and one of its results, each over the steps.

    Args:
        metrics: the run's ``metrics.json``.
        output: picture to write.
        result: name of the result, which may be missing.
        title: of its panel.
    """
    curves = read_metrics(metrics, lenient=True)
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, name, heading in zip(
        figure.subplots(1, 2), ("total_loss", result), ("training loss", title)
    ):
        if name in curves:
            axes.plot(*zip(*((step + 1, value) for step, value in curves[name])), marker=".")
        axes.set(title=heading, xlabel="step", ylim=(0, None))
        axes.grid(alpha=0.3)
    figure.savefig(output, dpi=100)


def threshold_curve_svg(curve: Sequence[Mapping[str, float]]) -> str:
    """Draw precision, recall and hmean over the confidence as an ``<svg>`` element.

    Args:
        curve: rows of ``confidence, precision, recall, hmean``, all in [0, 1].
    """
    figure = Figure(figsize=(6.4, 3), layout="constrained")
    axes = figure.subplots()
    confidences = [row["confidence"] for row in curve]
    for key, colour in (("precision", "#3a7ca5"), ("recall", "#c05a2b"), ("hmean", "#222222")):
        axes.plot(confidences, [row[key] for row in curve], color=colour, label=key)
    axes.set(xlabel="confidence", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(stream, format="svg")
    text = stream.getvalue()
    return text[text.index("<svg") :]


def plot_bands(
    panels: Mapping[str, Mapping[str, Sequence[Sequence[tuple[int, float]]]]],
    output: str | Path,
    result: str,
) -> None:
    """Draw the mean of repeated runs over their iterations, with the band from lowest to highest.

    Args:
        panels: title of a panel to name of a line to the points (iteration, value) of each run;
            iterations that some of a line's runs lack are left out.
        output: picture to write.
        result: name of the value.
    """
    figure = Figure(figsize=(1 + 5 * len(panels), 4.2), layout="constrained")
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    for axes, (title, lines) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items()
    ):
        for name, runs in lines.items():
            values = [dict(run) for run in runs]
            common = sorted(set.intersection(*(set(v) for v in values)))
            columns = [[v[i] for v in values] for i in common]
            colour = f"C{names.index(name) % 10}"
            means = [sum(column) / len(column) for column in columns]
            label = f"{name} ({len(runs)} seeds)" if len(runs) > 1 else name
            axes.plot(common, means, marker=".", color=colour, label=label)
            low, high = [min(c) for c in columns], [max(c) for c in columns]
            axes.fill_between(common, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.set(title=title, xlabel="step", ylabel=result, ylim=(0, None))
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.savefig(output, dpi=100)
