"""The page of ``vlpt-d2 demo`` in a headless Chromium (needs gradio, playwright and Chromium)."""

import json
import shutil
import socket
import threading

import numpy as np
import pytest
from helpers.inspection import tiny_inspected
from helpers.signs import SMALL, sign
from PIL import Image

from vlpt_d2 import TextPredictor
from vlpt_d2.demo import Demo, build_page, serve

pytest.importorskip("gradio")
playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page with an uploaded photo of two words."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    folder = tmp_path_factory.mktemp("demo")
    sign()[0].save(folder / "sign.png")
    demo = Demo(TextPredictor("db_mobile", opts=SMALL, device="cpu"), tiny_inspected(folder))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    built = build_page(demo, "db_mobile")
    threading.Thread(target=serve, args=(built, "127.0.0.1", port), daemon=True).start()
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page()
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        for _ in range(100):
            try:
                opened.goto(f"http://127.0.0.1:{port}")
                break
            except playwright.Error:
                opened.wait_for_timeout(200)
        opened.set_input_files("input[type=file]", folder / "sign.png")
        opened.get_by_text("2 texts").wait_for()
        yield opened
        assert not errors
        browser.close()
    built.close()


def test_an_upload_shows_crops(page):
    page.get_by_role("tab", name="Crops").click()
    assert page.locator("button.thumbnail-item img").count() == 2


def test_the_json_downloads(page):
    with page.expect_download() as download:
        page.locator("a[download='sign.json']").click()
    assert len(json.loads(download.value.path().read_text())["texts"]) == 2


def test_a_threshold_moves(page):
    slider = page.get_by_role("slider").last
    slider.focus()
    slider.press("End")
    page.get_by_text("0 texts").wait_for()


def test_words_show_where_vlpt_looks(page):
    page.get_by_role("tab", name="Where VLPT looks").click()
    before = page.locator("img").count()
    page.get_by_label("Words").fill("bar")
    page.get_by_role("button", name="Look").click()
    page.locator("img").nth(before).wait_for()


def test_photos_of_other_kinds(page, tmp_path):
    grey = np.asarray(sign(("Bar",))[0].convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    (tmp_path / "text.jpg").write_text("no image")
    for name, expected in (("deep.png", "1 text"), ("text.jpg", "text.jpg: cannot be decoded")):
        page.reload()
        page.locator("input[type=file]").first.set_input_files(tmp_path / name)
        page.get_by_text(expected).first.wait_for()
