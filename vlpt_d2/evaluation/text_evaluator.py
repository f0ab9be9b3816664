"""Text detection measured by a benchmark's own protocol, as a detectron2 evaluator."""

from __future__ import annotations

import itertools
import json
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage

from ..structures import Polygons
from ..utils.names import distinct_stems
from ..utils.provenance import provenance
from .protocols import Totals, image_protocols, total
from .protocols.end_to_end import matches_that_read
from .submission import write_submission

__all__ = ["TextEvaluator"]

logger = logging.getLogger(__name__)


class TextEvaluator(DatasetEvaluator):
    """Matches detections with the texts that the test loader hands along.

    Ground truth is taken from ``inputs[i]["texts"]``, :class:`~vlpt_d2.structures.TextInstances` in
    the pixels of the (possibly restored) image that the detections refer to. Only
    detections that reach a fixed score count; nothing is tuned on the images measured.

    Results are returned as percentages, as by detectron2's own evaluators. With an output folder
    the main process writes there

    - ``text_results_<dataset>.json``: totals, protocol, threshold, provenance, and per image the
      counts, matches and detections (polygons and scores);
    - ``submission_<dataset>.zip`` (ArT: ``.json``): the detections in the benchmark's format, for
      its server and for ``vlpt-d2 evaluate``. They are rounded to whole pixels there, as the
      formats ask, so the score of the archive may differ in the last digits.

    Where detections have ``pred_texts`` and the protocol is ICDAR2015's, they are measured end to
    end, too, by the rules of :mod:`.protocols.end_to_end`.

    Where no image has ground truth, the submission alone is written, and there are no results.
    """

    @configurable
    def __init__(
        self,
        *,
        dataset_name: str,
        protocol: str = "icdar2015",
        score_thresh: float = 0.0,
        output_dir: str | None = None,
        submission_format: str | None = None,
        origin: Mapping[str, Any] | None = None,
    ):
        """
        Args:
            dataset_name: names the result files.
            protocol: a name of :func:`vlpt_d2.evaluation.protocols.image_protocols`.
            score_thresh: lowest score, in [0, 1], of a detection that counts.
            output_dir: folder for the result files; nothing is written without.
            submission_format: see :func:`~.submission.write_submission`; the protocol's if not
                given.
            origin: what is recorded with the numbers, see :mod:`vlpt_d2.utils.provenance`.

        Raises:
            KeyError: no such protocol.
        """
        known = image_protocols()
        if protocol not in known:
            raise KeyError(f"no protocol {protocol!r}; there are {', '.join(sorted(known))}")
        self._dataset_name = dataset_name
        self._protocol = known[protocol]
        self._score_thresh = score_thresh
        self._output_dir = output_dir
        self._submission_format = submission_format or self._protocol.file_format or "icdar2015"
        self._origin = dict(origin or {})
        self.reset()

    @classmethod
    def from_config(
        cls,
        cfg: CfgNode,
        dataset_name: str,
        output_dir: str | None = None,
        weights: str | None = None,
    ) -> dict[str, Any]:
        """Take protocol and format from the dataset's metadata, threshold from ``cfg.TEST``.

        Args:
            cfg: the run's config.
            dataset_name: a registered dataset.
            output_dir: folder for the result files.
            weights: the checkpoint that is measured, where it is not ``cfg.MODEL.WEIGHTS``.
        """
        metadata = MetadataCatalog.get(dataset_name)
        return {
            "dataset_name": dataset_name,
            "protocol": metadata.evaluator_type,
            "submission_format": metadata.get("submission_format"),
            "score_thresh": cfg.TEST.SCORE_THRESH,
            "output_dir": output_dir,
            # Hashing a large checkpoint once, in the process that writes it, is enough.
            "origin": provenance(cfg, weights) if comm.is_main_process() else None,
        }

    def reset(self) -> None:
        """Forget all images."""
        self._rows: list[dict[str, Any]] = []

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Match the detections of a batch.

        Args:
            inputs: dicts with ``image_id``, ``texts`` where there is ground truth, and
                ``file_name`` unless rendered.
            outputs: dicts with ``"instances"`` that hold ``scores`` and ``pred_polygons``, and
                ``pred_texts`` of detectors that read.
        """
        for dataset_dict, output in zip(inputs, outputs):
            instances = output["instances"].to("cpu")
            read = words = None
            if instances.has("pred_texts"):
                # A list, which tensors do not index.
                read = instances.pred_texts
                instances.remove("pred_texts")
            kept = torch.nonzero(instances.scores >= self._score_thresh)[:, 0]
            if self._protocol.sort_by_score:
                kept = kept[instances.scores[kept].argsort(descending=True, stable=True)]
            instances = instances[kept]
            if read is not None:
                words = [read[i] for i in kept.tolist()]
            result = end_to_end = None
            if "texts" in dataset_dict:
                texts = dataset_dict["texts"]
                result = self._protocol.match_image(
                    texts.polygons, texts.ignore, instances.pred_polygons
                )
                if words is not None and self._protocol.name == "icdar2015":
                    end_to_end = matches_that_read(result, texts.words, words)
            self._rows.append(
                {
                    "file_name": dataset_dict.get("file_name"),
                    "image_id": dataset_dict["image_id"],
                    "result": result,
                    "end_to_end": end_to_end,
                    "words": words,
                    "scores": instances.scores.tolist(),
                    "polygons": list(instances.pred_polygons),
                }
            )

    def evaluate(self) -> OrderedDict[str, dict[str, float]] | None:
        """Sum over the images of all processes.

        Returns:
            On the main process ``{"text": {"precision", "recall", "hmean"}}`` in percent, and the
            same as "end_to_end" where that is measured; None on the others; empty if no image was
            processed or none has ground truth.

        Raises:
            ValueError: some images have ground truth and others have none.
        """
        comm.synchronize()
        rows = list(itertools.chain(*comm.gather(self._rows)))
        if not comm.is_main_process():
            return None
        if not rows:
            logger.warning("%s: no image was evaluated", self._dataset_name)
            return OrderedDict()
        if any(row["result"] is None for row in rows):
            self._submit_unmeasured(rows)
            return OrderedDict()
        totals = total(row["result"] for row in rows)
        scores = _percent(totals)
        self._log(totals, scores)
        results = OrderedDict(text=scores)
        if all(row["end_to_end"] is not None for row in rows):
            results["end_to_end"] = _percent(total(row["end_to_end"] for row in rows))
            logger.info(
                "%s, end to end: precision %.2f, recall %.2f, hmean %.2f",
                self._dataset_name,
                *results["end_to_end"].values(),
            )
        if self._output_dir:
            self._write(Path(self._output_dir), rows, totals, results)
        return results

    def _submit_unmeasured(self, rows: list[dict[str, Any]]) -> None:
        bare = [row for row in rows if row["result"] is None]
        if len(bare) < len(rows):
            raise ValueError(
                f"{self._dataset_name}: {len(bare)} of {len(rows)} images have no ground truth, "
                f"such as {bare[0]['file_name']}; measure them as a dataset of their own"
            )
        where = "nothing is written without an output folder"
        if self._output_dir:
            where = f"the detections for the benchmark's server are in {self._submit(rows)}"
        logger.warning(
            "%s has no public ground truth, so no score was computed; %s",
            self._dataset_name,
            where,
        )

    def _submit(self, rows: list[dict[str, Any]]) -> Path:
        """Write the submission; return its path."""
        suffix = "json" if self._submission_format == "art" else "zip"
        path = Path(str(self._output_dir)) / f"submission_{self._dataset_name}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Rendered images have no file.
        files = [row["file_name"] or f"img_{row['image_id']}.jpg" for row in rows]
        names = distinct_stems(files)
        renamed = [name for name, file in zip(names, files) if name != Path(file).stem]
        if renamed:
            logger.warning(
                "%s: %d images share their name with another, so the submission names them like %s",
                self._dataset_name,
                len(renamed),
                renamed[0],
            )
        write_submission(
            path,
            {
                name: (Polygons(row["polygons"]), row["scores"])
                for name, row in zip(names, rows, strict=True)
            },
            self._submission_format,
        )
        return path

    def _log(self, totals: Any, scores: Mapping[str, float]) -> None:
        logger.info(
            "%s, protocol %s, scores >= %g: precision %.2f, recall %.2f, hmean %.2f (%d matches, "
            "%d words and %d detections that count, %d images)",
            self._dataset_name,
            self._protocol.name,
            self._score_thresh,
            *scores.values(),
            totals.num_matches,
            totals.num_gt,
            totals.num_det,
            totals.images,
        )
        for what, faults in (
            ("ground truths", totals.repaired_gt),
            ("detections", totals.repaired_det),
        ):
            if faults:
                logger.warning("%s: faulty %s: %s", self._dataset_name, what, dict(faults))
        if totals.num_gt == 0:
            logger.warning("%s: no word counts, so there is no score", self._dataset_name)

    def _write(
        self,
        folder: Path,
        rows: list[dict[str, Any]],
        totals: Any,
        results: Mapping[str, Mapping[str, float]],
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        report = {
            "dataset": self._dataset_name,
            "protocol": self._protocol.name,
            "protocol_parameters": dict(self._protocol.parameters),
            "score_thresh": self._score_thresh,
            "percent": results["text"],
            "totals": asdict(totals),
            "origin": _origin_now(self._origin),
            "images": [_image_report(row) for row in rows],
        }
        if "end_to_end" in results:
            report["percent_end_to_end"] = results["end_to_end"]
        path = folder / f"text_results_{self._dataset_name}.json"
        path.write_text(json.dumps(report, indent=1), encoding="utf-8")
        logger.info("results written to %s", path)
        try:
            self._submit(rows)
        except ValueError as error:  # names that its format has no room for
            logger.error("%s: no submission is written: %s", self._dataset_name, error)


def _percent(totals: Totals) -> dict[str, float]:
    return {k: 100.0 * getattr(totals, k) for k in ("precision", "recall", "hmean")}


def _image_report(row: Mapping[str, Any]) -> dict[str, Any]:
    result = row["result"]
    return {
        **({} if row["words"] is None else {"words": row["words"]}),
        "file_name": row["file_name"],
        "image_id": row["image_id"],
        "precision": result.precision,
        "recall": result.recall,
        "hmean": result.hmean,
        **asdict(result),
        "scores": [round(score, 5) for score in row["scores"]],
        "polygons": [np.round(p, 2).ravel().tolist() for p in row["polygons"]],
    }


def _origin_now(origin: Mapping[str, Any]) -> dict[str, Any]:
    """In a running training the weights measured are not those of the config it began with."""
    try:
        iteration = get_event_storage().iter
    except AssertionError:  # no storage, so no training
        return dict(origin)
    start = ("weights", "weights_sha256")
    return {f"initial_{k}" if k in start else k: v for k, v in origin.items()} | {
        "iteration": iteration
    }
