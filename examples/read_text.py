#!/usr/bin/env python
"""Read the texts of images: detections of vlpt_d2, recognised by RapidOCR.

    pip install rapidocr==3.10.0 onnxruntime fpdf2 pypdfium2
    python examples/read_text.py photo.jpg scan.pdf --output read

Writes read.txt (a line for each line of text), read.hocr (hOCR, with boxes and confidences) and
read.pdf (the images with invisible text, to search and to copy from).
"""

import argparse
import html
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fpdf import FPDF
from fpdf.enums import TextMode
from matplotlib import font_manager
from PIL import Image
from rapidocr import RapidOCR

from vlpt_d2 import TextPredictor
from vlpt_d2.data.image_io import CorruptImageError
from vlpt_d2.data.pages import open_pages
from vlpt_d2.structures import quadrilateral
from vlpt_d2.structures.lines import group_lines
from vlpt_d2.structures.quadrilateral import is_clockwise
from vlpt_d2.utils.errors import describe, run_script
from vlpt_d2.utils.names import counted, printable

# From this height over width on, a crop is read as text that runs up or down.
TALL = 1.5


@dataclass
class Word:
    """A text that was read.

    Attributes:
        text: what it says.
        confidence: in [0, 1].
        polygon: (N, 2) points in pixels.
        corners: (4, 2) points of it, clockwise from the one where the text begins.
    """

    text: str
    confidence: float
    polygon: np.ndarray
    corners: np.ndarray


@dataclass
class Page:
    """An image with its words, in lines and in the order of reading."""

    name: str
    image: np.ndarray
    lines: list[list[Word]]


def read_page(predictor: TextPredictor, recogniser: RapidOCR, image: np.ndarray, name: str) -> Page:
    """Detect and read the texts of an image; those that nothing is read of are left out."""
    found = predictor(image)
    words = []
    for polygon, crop in zip(found.polygons, found.crops()):
        pixels = np.asarray(crop)
        corners = upright(polygon)
        attempts = [(pixels, corners)]
        if crop.height >= TALL * crop.width:
            # Downwards, then upwards: each begins at another corner.
            attempts = [(np.rot90(pixels, 1), np.roll(corners, -1, axis=0))]
            attempts += [(np.rot90(pixels, 3), np.roll(corners, 1, axis=0))]
        read = []
        for turned, begin in attempts:
            bgr = np.ascontiguousarray(turned[:, :, ::-1])
            result = recogniser(bgr, use_det=False, use_cls=False, use_rec=True)
            read.append(Word(result.txts[0].strip(), float(result.scores[0]), polygon, begin))
        best = max(read, key=lambda word: word.confidence)
        if best.text:
            words.append(best)
    lines = group_lines([word.polygon for word in words])
    return Page(name, found.image, [[words[i] for i in line] for line in lines])


def upright(polygon: np.ndarray) -> np.ndarray:
    """The corners of a text, clockwise from the one whose side runs most to the right."""
    corners = quadrilateral(polygon).astype(np.float64)
    if not is_clockwise(corners):
        corners = corners[::-1]
    sides = np.roll(corners, -1, axis=0) - corners
    rightwards = sides[:, 0] / np.maximum(np.linalg.norm(sides, axis=1), 1e-6)
    return np.roll(corners, -int(rightwards.argmax()), axis=0)


def to_text(pages: Sequence[Page]) -> str:
    """A line for each line of text, an empty line between two images."""
    return "\n".join(
        "".join(" ".join(word.text for word in line) + "\n" for line in page.lines)
        for page in pages
    )


def to_hocr(pages: Sequence[Page]) -> str:
    """An hOCR document: pages, lines and words with bounding boxes and confidences."""
    body = []
    for number, page in enumerate(pages, 1):
        height, width = page.image.shape[:2]
        name = printable(page.name)
        title = html.escape(f'image "{name}"; bbox 0 0 {width} {height}; ppageno {number - 1}')
        body.append(f"<div class='ocr_page' id='page_{number}' title='{title}'>")
        for line in page.lines:
            box = _box(np.concatenate([word.polygon for word in line]))
            body.append(f"<span class='ocr_line' title='{box}'>")
            body += [
                f"<span class='ocrx_word' title='{_box(word.polygon)}; "
                f"x_wconf {round(100 * word.confidence)}'>{html.escape(word.text)}</span>"
                for word in line
            ]
            body.append("</span>")
        body.append("</div>")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<html xmlns="http://www.w3.org/1999/xhtml">\n'
        "<head><title>read by vlpt_d2 and RapidOCR</title>\n"
        "<meta name='ocr-system' content='vlpt_d2, RapidOCR'/>\n"
        "<meta name='ocr-capabilities' content='ocr_page ocr_line ocrx_word'/></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def write_pdf(pages: Sequence[Page], path: Path) -> None:
    """Write the images as pages of their size, with the words as invisible text on them.

    The font is DejaVu Sans; letters that it lacks cannot be searched for.
    """
    pdf = FPDF(unit="pt")
    pdf.set_auto_page_break(False)
    pdf.add_font("DejaVu", fname=font_manager.findfont("DejaVu Sans"))
    for page in pages:
        height, width = page.image.shape[:2]
        pdf.add_page(format=(width, height))
        pdf.image(Image.fromarray(page.image), 0, 0, width, height)
        for word in (word for line in page.lines for word in line):
            begin, end, _, below = word.corners
            length = np.linalg.norm(end - begin)
            pdf.set_font("DejaVu", size=max(1.0, float(np.linalg.norm(below - begin))))
            # As wide as the text in the image.
            pdf.set_stretching(100 * length / max(pdf.get_string_width(word.text), 1e-6))
            angle = np.degrees(np.arctan2(begin[1] - end[1], end[0] - begin[0]))
            with pdf.rotation(float(angle), float(below[0]), float(below[1])):
                pdf.text_mode = TextMode.INVISIBLE
                pdf.text(float(below[0]), float(below[1]), word.text)
            pdf.set_stretching(100)
    pdf.output(str(path))


def _box(polygon: np.ndarray) -> str:
    (x0, y0), (x1, y1) = np.floor(polygon.min(axis=0)), np.ceil(polygon.max(axis=0))
    return f"bbox {x0:.0f} {y0:.0f} {x1:.0f} {y1:.0f}"


def main(argv: Sequence[str] | None = None) -> int:
    """Read images; return 0, or 1 if one of the files could not be read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="+", help="images, TIFFs or PDFs, in their order")
    parser.add_argument("--model", default="db_mobile", help="detector of the zoo")
    parser.add_argument("--output", type=Path, default=Path("read"), help="files, without suffix")
    parser.add_argument("--opts", nargs="+", default=[], metavar="KEY VALUE")
    args = parser.parse_args(argv)
    predictor = TextPredictor(args.model, opts=args.opts)
    recogniser = RapidOCR(params={"Global.log_level": "error"})
    pages, failed = [], 0
    for path in map(Path, args.images):
        try:
            opened = open_pages(path)
            for i in range(len(opened)):
                pages.append(read_page(predictor, recogniser, opened[i], path.name))
        except (OSError, CorruptImageError) as error:
            print(describe(error), file=sys.stderr)
            failed += 1
    if not pages:
        return 1
    args.output.parent.mkdir(parents=True, exist_ok=True)
    # Not with_suffix, which would take a part of the name for one.
    Path(f"{args.output}.txt").write_text(to_text(pages), "utf-8")
    Path(f"{args.output}.hocr").write_text(to_hocr(pages), "utf-8")
    write_pdf(pages, Path(f"{args.output}.pdf"))
    told = f"; {counted(failed, 'file')} could not be read" if failed else ""
    print(f"{args.output}.txt, .hocr, .pdf: {counted(len(pages), 'page')}{told}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run_script(main))
