"""Evaluate the result files of any detector by a benchmark's protocol."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..utils.names import counted
from .outputs import keep_inputs, write_output

EPILOG = """examples:
  vlpt-d2 evaluate --protocol icdar2015 --gt gt.zip --dt submission.zip
  vlpt-d2 evaluate --protocol totaltext-deteval --gt Groundtruth/Polygon/Test --dt results \\
      --json score.json --html report.html --images Images/Test
docs/evaluation.md has the rules and the file formats."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--protocol", required=True, help="name of the protocol; 'list' lists all")
    parser.add_argument("--gt", type=Path, help="folder or zip of ground truth files")
    parser.add_argument("--dt", type=Path, help="folder or zip of result files")
    parser.add_argument("--format", help="format of the files (default: the protocol's)")
    parser.add_argument(
        "--order", choices=("xy", "yx"), help="which coordinate comes first in result files"
    )
    parser.add_argument(
        "--json", type=Path, help="write the score and the results of each image to this file"
    )
    parser.add_argument(
        "--html", type=Path, help="write a page with tables and curves to this file"
    )
    parser.add_argument("--images", type=Path, help="folder of the images, for the page")
    parser.add_argument(
        "--why", action="store_true", help="also print why texts were missed, and recall by size"
    )


def run(args: argparse.Namespace) -> int:
    """Print the score; return 0."""
    from ..evaluation.file_evaluation import evaluate_files, to_report
    from ..evaluation.files import file_formats
    from ..evaluation.protocols import PROTOCOLS

    known = args.protocol in PROTOCOLS and args.format in (None, *file_formats())
    if not known:
        from ..config import load_parts

        load_parts()  # a plugin may have it
    if args.protocol == "list":
        for name in sorted(PROTOCOLS):
            print(f"{name:<32} {PROTOCOLS[name].title}")
        return 0
    if args.protocol not in PROTOCOLS:
        raise ValueError(f"no protocol {args.protocol!r}; there are {', '.join(sorted(PROTOCOLS))}")
    if args.format is not None and args.format not in file_formats():
        raise ValueError(f"no format {args.format!r}; there are {', '.join(file_formats())}")
    if args.gt is None or args.dt is None:
        raise ValueError("--gt and --dt are required: a folder or zip archive each")
    if args.images is not None and args.html is None:
        raise ValueError("--images is for the page of --html; give --html too")
    if args.images is not None and not args.images.is_dir():
        raise ValueError(f"{args.images}: no such folder of images. Check --images.")
    keep_inputs((args.json, args.html), (args.gt, args.dt, args.images))
    keep_images = bool(args.json or args.html or args.why)
    evaluation = evaluate_files(
        args.gt, args.dt, args.protocol, args.format, args.order, keep_images
    )
    report = to_report(evaluation)
    print(_summary(report))
    if args.why or args.html:
        from ..evaluation.analysis import analyse, summarise

        analysis = analyse(evaluation)
        report["analysis"] = analysis
        if args.why:
            print(summarise(analysis))
    if args.json:
        write_output(args.json, json.dumps(report, indent=1))
    if args.html:
        from ..evaluation.analysis import to_page

        write_output(args.html, to_page(evaluation, report, args.images))
    return 0


def _summary(report: dict[str, Any]) -> str:
    lines = [
        f"protocol   {report['protocol']}",
        f"precision  {report['precision']:.6f}",
        f"recall     {report['recall']:.6f}",
        f"hmean      {report['hmean']:.6f}",
        f"matched {report['matched']}, ground truths that count {report['gt_care']}, detections "
        f"that count {report['dt_care']}",
        f"({report['counts']})",
        f"{counted(report['num_images'], 'image')}; don't-care: "
        f"{counted(report['gt_ignored'], 'ground truth')}, "
        f"{counted(report['dt_ignored'], 'detection')}",
    ]
    missing = report["images_without_result"]
    if missing:
        named = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        effect = (
            "left out, as in the script"
            if report["num_images_left_out"]
            else "all of their texts are missed"
        )
        lines.append(f"{counted(len(missing), 'image')} without result file ({effect}): {named}")
    for name, value in report.get("coco", {}).items():
        lines.append(f"{name:<10} {value:.6f}" if value is not None else f"{name:<10} -")
    lines += [f"note: {note}: {number}" for note, number in report["notes"].items()]
    return "\n".join(lines)
