"""PDFs that are large, or that cannot be read here."""

import sys

import pypdfium2
import pytest

from vlpt_d2.data import pages
from vlpt_d2.data.image_io import CorruptImageError


@pytest.fixture
def pdf(tmp_path):
    """A page of two inches by one."""
    document = pypdfium2.PdfDocument.new()
    document.new_page(144, 72)
    document.save(tmp_path / "a.pdf")
    return tmp_path / "a.pdf"


def test_a_huge_page_is_drawn_with_fewer_pixels(pdf, monkeypatch):
    assert pages.open_pages(pdf)[0].shape == (200, 400, 3)
    monkeypatch.setattr(pages, "_PDF_PIXELS", 5000)
    assert pages.open_pages(pdf)[0].shape == (50, 100, 3)


def test_without_its_extra(pdf, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(CorruptImageError, match=r"a\.pdf: .*pip install 'vlpt-d2\[pdf\]'"):
        pages.open_pages(pdf)
