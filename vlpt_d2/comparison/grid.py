"""A grid file: which pre-trainings, detectors, datasets and seeds are compared."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..config.node import read_yaml
from ..model_zoo import find_grid
from ..utils.nearest import did_you_mean
from .run import GridRun

__all__ = ["Grid", "GridError", "Pretraining", "read_grid"]

_KEYS = ("output", "seeds", "baseline", "options", "pretrainings", "detectors")
_ARM_KEYS = ("config", "weights", "options", "finetune_options", "trunk_of")


class GridError(ValueError):
    """A grid file cannot be used; the message names the place and the fix."""


@dataclass(frozen=True)
class Pretraining:
    """One arm of the comparison: what the detectors start from.

    Attributes:
        name: as the tables show it.
        config: of its training; by detector where each has its own; "" where nothing is trained.
        weights: a file that the training starts from, or the detectors where nothing is trained;
            "{seed}" in it is replaced by the seed.
        options: config options of its training.
        finetune_options: config options of the fine-tunings that start from it.
        trunk_of: another arm, of whose weights this one passes on the trunk only; nothing else is
            trained.
    """

    name: str
    config: str | Mapping[str, str] = ""
    weights: str = ""
    options: tuple[str, ...] = ()
    finetune_options: tuple[str, ...] = ()
    trunk_of: str = ""

    def serves(self, detector: str) -> bool:
        """Whether the arm has a part for this detector."""
        return isinstance(self.config, str) or detector in self.config

    def config_for(self, detector: str) -> str:
        """The config of the training this detector starts from; "" for none."""
        return self.config if isinstance(self.config, str) else self.config[detector]


@dataclass(frozen=True)
class Grid:
    """The content of a grid file.

    Attributes:
        name: of the file.
        output: folder of all runs and tables.
        pretrainings: the arms, in the order of the tables.
        detectors: detector to dataset to the config of the fine-tuning.
        seeds: each is the SEED of pre-training and fine-tuning.
        baseline: name of the arm that the others are compared with.
        options: config options of every run.
    """

    name: str
    output: Path
    pretrainings: tuple[Pretraining, ...]
    detectors: Mapping[str, Mapping[str, str]]
    seeds: tuple[int, ...]
    baseline: str
    options: tuple[str, ...] = ()
    runs: tuple[GridRun, ...] = field(init=False)

    def __post_init__(self) -> None:
        # The first seed of everything comes first, so that there is a table early.
        runs: list[GridRun] = []
        for seed in self.seeds:
            # Arm and config to the pre-training.
            trained: dict[tuple[str, str], GridRun] = {}
            for arm in self.pretrainings:
                runs += self._runs_of(arm, seed, trained)
        object.__setattr__(self, "runs", tuple(runs))

    def _runs_of(
        self, arm: Pretraining, seed: int, trained: dict[tuple[str, str], GridRun]
    ) -> Iterator[GridRun]:
        common = (*self.options, "SEED", str(seed))
        weights = arm.weights.replace("{seed}", str(seed))
        shared = isinstance(arm.config, str)
        source = arm.trunk_of or arm.name
        for detector, datasets in self.detectors.items():
            if not arm.serves(detector):
                continue
            config = arm.config_for(detector)
            if config and (source, config) not in trained:
                part = "" if shared else detector
                trained[source, config] = GridRun(
                    f"pre-training {arm.name}{part and f' of {part}'}, seed {seed}",
                    arm=arm.name,
                    seed=seed,
                    detector=part,
                    config=config,
                    folder=self.output / "pretrain" / _slug(arm.name, part) / f"seed_{seed}",
                    options=(*common, *arm.options),
                    weights=weights,
                )
                yield trained[source, config]
            for dataset, finetuning in datasets.items():
                place = self.output / "finetune" / _slug(detector, dataset) / _slug(arm.name)
                yield GridRun(
                    f"{detector} on {dataset} from {arm.name}, seed {seed}",
                    arm=arm.name,
                    seed=seed,
                    detector=detector,
                    dataset=dataset,
                    config=finetuning,
                    folder=place / f"seed_{seed}",
                    options=(*common, *arm.finetune_options),
                    weights="" if config else weights,
                    start=trained.get((source, config)),
                    trunk_only=bool(arm.trunk_of),
                )


def read_grid(path: str, options: Sequence[str] = (), output: str | Path | None = None) -> Grid:
    """Read a grid file.

    Args:
        path: a YAML file, or the name of one that comes with the package, such as "transfer".
        options: "KEY value" pairs for every run, on top of the file's.
        output: folder in place of the file's.

    Raises:
        GridError: no such file, bad YAML, an unknown key, or a value that cannot be used.
    """
    try:
        file = Path(find_grid(path))
        content = read_yaml(str(file))
    except (FileNotFoundError, ValueError) as error:
        raise GridError(str(error)) from error
    _check_keys(file, "", content, _KEYS)
    for key in ("pretrainings", "detectors", "seeds"):
        if not content.get(key):
            raise GridError(f"{file}: {key} is missing or empty")
    arms = _mapping(file, "pretrainings", content["pretrainings"])
    detectors = {
        detector: _configs(file, f"detectors.{detector}", datasets)
        for detector, datasets in _mapping(file, "detectors", content["detectors"]).items()
    }
    seeds = content["seeds"]
    if not isinstance(seeds, list) or not all(type(s) is int and s >= 0 for s in seeds):
        raise GridError(f"{file}: seeds must be a list of numbers from 0, not {seeds!r}")
    baseline = str(content.get("baseline", next(iter(arms))))
    if baseline not in arms:
        hint = did_you_mean(baseline, arms)
        raise GridError(f"{file}: baseline {baseline!r} is none of pretrainings{hint}")
    if len(options) % 2:
        raise GridError(f"options come in pairs, KEY value; there are {len(options)}")
    _check_free("the options", options[::2])
    default = f"output/comparison/{file.stem}"
    pretrainings: dict[str, Pretraining] = {}
    for name, arm in arms.items():
        pretrainings[name] = _pretraining(file, name, arm, detectors, pretrainings)
    grid = Grid(
        name=file.stem,
        output=Path(output or _text(file, "output", content.get("output", default))),
        pretrainings=tuple(pretrainings.values()),
        detectors=detectors,
        seeds=tuple(dict.fromkeys(seeds)),
        baseline=baseline,
        options=(*_options(file, "options", content.get("options")), *options),
    )
    _check_folders(file, grid)
    return grid


def _pretraining(
    file: Path,
    name: str,
    content: Any,
    detectors: Mapping[str, Mapping[str, str]],
    former: Mapping[str, Pretraining],
) -> Pretraining:
    place = f"pretrainings.{name}"
    content = content or {}
    _check_keys(file, place, content, _ARM_KEYS)
    if "trunk_of" in content:
        _check_keys(file, place, content, ("trunk_of", "finetune_options"))
        source = former.get(str(content["trunk_of"]))
        if source is None or not source.config or source.trunk_of:
            raise GridError(
                f"{file}: {place}.trunk_of must name a trained arm that stands above it, not "
                f"{content['trunk_of']!r}"
            )
        options = _options(file, f"{place}.finetune_options", content.get("finetune_options"))
        return replace(source, name=name, finetune_options=options, trunk_of=source.name)
    config = content.get("config", "")
    if isinstance(config, dict):
        config = _configs(file, f"{place}.config", config)
        _check_keys(file, f"{place}.config", config, tuple(detectors))
    return Pretraining(
        name=name,
        config=config if isinstance(config, dict) else _text(file, f"{place}.config", config),
        weights=_text(file, f"{place}.weights", content.get("weights", "")),
        options=_options(file, f"{place}.options", content.get("options")),
        finetune_options=_options(
            file, f"{place}.finetune_options", content.get("finetune_options")
        ),
    )


def _options(file: Path, place: str, content: Any) -> tuple[str, ...]:
    """``{KEY: value}`` as the words of a command line."""
    if content is None:
        return ()
    options = _mapping(file, place, content)
    _check_free(f"{file}: {place}", options)
    return tuple(str(word) for pair in options.items() for word in pair)


def _check_free(place: str, keys: Iterable[str]) -> None:
    for key, own in (("SEED", "seeds"), ("OUTPUT_DIR", "output")):
        if key in keys:
            raise GridError(f"{place}: {key} follows from the grid's {own}; take it out")


def _configs(file: Path, place: str, content: Any) -> dict[str, str]:
    pairs = _mapping(file, place, content).items()
    return {name: _text(file, f"{place}.{name}", config) for name, config in pairs}


def _text(file: Path, place: str, content: Any) -> str:
    if not isinstance(content, str):
        raise GridError(f"{file}: {place} must name a file or folder, not {content!r}")
    return content


def _mapping(file: Path, place: str, content: Any) -> dict[str, Any]:
    """A mapping, with its names as text."""
    if not isinstance(content, dict):
        raise GridError(f"{file}: {place} must hold 'name: …' entries, not {content!r}")
    for name in map(str, content):
        if not _slug(name):
            raise GridError(f"{file}: {place} has the name {name!r}; it needs a letter or digit")
    return {str(name): value for name, value in content.items()}


def _check_keys(file: Path, place: str, content: Any, known: Sequence[str]) -> None:
    for key in _mapping(file, place or "the file", content):
        if key not in known:
            where = f"{place}.{key}" if place else key
            raise GridError(
                f"{file}: there is no key {where}{did_you_mean(key, known)}; "
                f"known are {', '.join(known)}"
            )


def _check_folders(file: Path, grid: Grid) -> None:
    """Names may differ in characters that folders leave out."""
    owners: dict[Path, GridRun] = {}
    for run in grid.runs:
        other = owners.setdefault(run.folder, run)
        if other is not run:
            raise GridError(
                f"{file}: {other.name} and {run.name} would share the folder {run.folder}; "
                "give them names that differ in letters or digits"
            )


def _slug(*names: str) -> str:
    words = (re.sub(r"[^a-z0-9.+]+", "_", name.lower()).strip("_") for name in names)
    return "-".join(word for word in words if word)
