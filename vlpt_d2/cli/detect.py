"""Find text in images, PDFs and videos, and write detections."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..utils.names import counted
from ..utils.numbers import positive
from .predictor_arguments import add_predictor_arguments, predictor_arguments

_FORMATS = ("image", "json", "icdar", "coco", "labelme", "html")
EPILOG = """examples:
  vlpt-d2 detect photo.jpg --output out
  vlpt-d2 detect photos 'scans/*.tif' --output out --format json,icdar --batch 4
  vlpt-d2 detect photos --config-file detection/icdar2015/db_R_50.yaml --weights model_final.pth
  vlpt-d2 detect plan.jpg --output plans --tile auto --lines --backend onnx
  vlpt-d2 detect report.pdf film.mp4 --output pages --every 30
Folders are searched recursively for images and PDFs. Every page of a TIFF or a PDF (pip install
'vlpt-d2[pdf]') and every frame of a video is read. camera:0 is the first webcam, which is read
until Ctrl-C. Each image has its own output files: image <name>.jpg (with outlines), json
<name>.json, icdar res_<name>.txt, labelme <name>.labelme.json. For all images together, coco is
detections_coco.json and html is the page detections.html. Re-running the command resumes from
detections.jsonl and processes only new images. vlpt-d2 models lists the models.
Exit status: 0; 1 if an image could not be read (the others are written); 2 for wrong arguments or
if the output cannot be written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(resumes=True)
    add = parser.add_argument
    add(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="an image, PDF or video, a folder, a pattern such as '*.jpg', or camera:0",
    )
    add("--output", type=Path, default=Path("detections"), help="folder (default: detections)")
    add(
        "--format",
        type=_formats,
        default=("image", "json"),
        metavar="F,…",
        help=f"output formats, from {', '.join(_FORMATS)} (default: image,json)",
    )
    add("--lines", action="store_true", help="group words into lines, in reading order")
    add(
        "--tile",
        type=_tile,
        metavar="auto|N",
        help="for large images: also detect in overlapping windows of N pixels; auto: only in "
        "images that would be resized to less than half",
    )
    add("--every", type=positive, default=1, metavar="N", help="every Nth frame of a video")
    add_predictor_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Detect and write; return the exit status, which ``--help`` explains."""
    from ..detect_files import detect_files
    from ..predictor import TextPredictor

    predictor = TextPredictor(**predictor_arguments(args), tile=args.tile)
    if args.backend == "torch":
        from ..engine.threads import set_threads

        set_threads(predictor.cfg)
    done = detect_files(
        predictor, args.inputs, args.output, args.format, _report, args.lines, args.every
    )
    before = f", {done.resumed} of them from earlier runs" if done.resumed else ""
    failed = f"; {done.failed} could not be read" if done.failed else ""
    images, texts = counted(done.images, "image"), counted(done.texts, "text")
    print(f"{args.output}: {images}{before}, {texts}{failed}")
    return 1 if done.failed else 0


def _formats(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in _FORMATS:
            raise argparse.ArgumentTypeError(f"no format {name!r}; there are {', '.join(_FORMATS)}")
    return names


def _tile(text: str) -> int | str:
    if text != "auto" and not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number of pixels")
    return text if text == "auto" else int(text)


def _report(message: str) -> None:
    from tqdm import tqdm

    tqdm.write(f"vlpt-d2 detect: {message}", file=sys.stderr)
