"""A page in the browser: drop a photo, and see its texts, maps, and where VLPT looks."""

from __future__ import annotations

import tempfile
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .data.image_io import read_image
from .data.sizes import resize
from .detections import TextDetections
from .inspection import LoadedModel, attend
from .inspection.attention_pictures import attention_figure
from .inspection.maps import map_pictures, visible_maps
from .predictor import TextPredictor
from .utils.names import counted

if TYPE_CHECKING:
    import gradio

__all__ = ["Demo", "Photo", "build_page", "serve"]

# How often uploaded photos are looked through, and how old they get.
_CACHE_SECONDS = (600, 3600)


@dataclass
class Photo:
    """A photo that the detector has seen.

    Attributes:
        path: its file.
        image: (H, W, 3) uint8, RGB.
        resized: (H', W', 3) uint8, RGB, as the network saw it.
        maps: what the network made of it, by name, padding included.
    """

    path: str
    image: np.ndarray
    resized: np.ndarray
    maps: dict[str, np.ndarray]


class Demo:
    """What the page does, without a browser.

    Attributes:
        thresholds: config key of each threshold of the detector to its value.
    """

    def __init__(self, predictor: TextPredictor, loaded: LoadedModel):
        """
        Args:
            predictor: the detector; of the backend torch.
            loaded: a VLPT model for :meth:`attention`.
        """
        self._detector = predictor.detector
        self._head = predictor.model.text_head
        self._loaded = loaded
        # Removed at the end of the process.
        self._folder = tempfile.TemporaryDirectory(prefix="vlpt_d2_demo_")
        # Requests run in threads, and a head holds one set of thresholds.
        self._lock = threading.Lock()
        keys = self._head.threshold_keys
        self.thresholds = {key: self._head.decoding[name] for name, key in keys.items()}

    def look(self, path: str) -> Photo:
        """Read a photo and run the network.

        Raises:
            CorruptImageError, FileNotFoundError: it cannot be read.
        """
        image = read_image(path, Path(path).name)
        resized = resize(image, self._detector.size_for_test(image.shape[:2]))
        with self._lock:
            (maps,) = self._detector.maps([resized])
        return Photo(path, image, resized, maps)

    def detect(self, photo: Photo, thresholds: Sequence[float]) -> TextDetections:
        """Decode a photo's maps.

        Args:
            photo: of :meth:`look`.
            thresholds: in the order of :attr:`thresholds`.
        """
        size = photo.resized.shape[:2]
        with self._lock:
            before = dict(self._head.decoding)
            self._head.decoding.update(zip(self._head.threshold_keys, thresholds))
            try:
                texts = self._detector.decode(photo.maps, size)
            finally:
                self._head.decoding.update(before)
        texts = texts.resized(size, photo.image.shape[:2])
        name = Path(photo.path).name
        return TextDetections(texts.polygons, texts.scores, photo.image, name, texts.words)

    def maps(self, photo: Photo) -> list[tuple[np.ndarray, str]]:
        """Colour each map over the image that the network saw; pictures with their titles."""
        divisor = self._detector.settings["input"]["divisor"]
        maps = visible_maps(photo.maps, photo.resized.shape[:2], divisor)
        return list(zip(*map_pictures(photo.resized, maps)))

    def files(self, found: TextDetections) -> tuple[str, str | None]:
        """Write the detections as JSON and their crops as a zip archive, to a temporary folder.

        Returns:
            The paths of both; without a detection there is no archive.
        """
        folder = Path(tempfile.mkdtemp(dir=self._folder.name))
        stem = Path(found.file_name or "photo").stem
        found.save(folder / f"{stem}.json")
        if not len(found):
            return str(folder / f"{stem}.json"), None
        archive = folder / f"{stem}_crops.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for number, crop in enumerate(found.crops()):
                with file.open(f"{stem}_{number:03d}.png", "w") as entry:
                    crop.save(entry, "PNG")
        return str(folder / f"{stem}.json"), str(archive)

    def attention(self, path: str, words: str) -> np.ndarray:
        """Draw where VLPT looks for words, a row for each token.

        Args:
            path: of the photo.
            words: separated by spaces; they need not be in the photo.

        Returns:
            (H, W, 3) uint8, RGB.

        Raises:
            ValueError: the words cannot be asked for.
        """
        picture = self._loaded.read(path)
        with self._lock:
            maps = attend(self._loaded, picture, words.split())
        return attention_figure(maps, detail="mean")


def build_page(demo: Demo, name: str) -> gradio.Blocks:
    """Lay the page out.

    Args:
        demo: does the work.
        name: of the detector, for the heading.
    """
    import gradio as gr

    wrong = partial(gr.Error, print_exception=False)  # what a visitor does is no fault here

    def look(path: str | None) -> tuple[Photo | None, list[tuple[np.ndarray, str]]]:
        if path is None:
            return None, []
        try:
            photo = demo.look(path)
        except (OSError, ValueError, RuntimeError) as error:
            raise wrong(str(error)) from error
        return photo, demo.maps(photo)

    def show(photo: Photo | None, *thresholds: float) -> tuple[Any, ...]:
        if photo is None:
            return None, "", None, None, None, []
        found = demo.detect(photo, thresholds)
        written, archive = demo.files(found)
        heading = counted(len(found), "text")
        return found.draw(), heading, found.to_dict(), written, archive, found.crops()

    def attention(photo: Photo | None, words: str) -> np.ndarray:
        if photo is None:
            raise wrong("Choose a photo first.")
        try:
            return demo.attention(photo.path, words)
        except ValueError as error:
            raise wrong(str(error)) from error

    picture: dict[str, Any] = {
        "interactive": False,
        "format": "png",
        "buttons": ["download", "fullscreen"],
    }
    gallery: dict[str, Any] = {"format": "png", "object_fit": "contain", "buttons": ["fullscreen"]}
    with gr.Blocks(title="vlpt_d2", analytics_enabled=False, delete_cache=_CACHE_SECONDS) as page:
        gr.Markdown(f"# Text in photographs\nDetector: `{name}`")
        state = gr.State()
        with gr.Row():
            with gr.Column():
                photo = gr.Image(type="filepath", sources=["upload"], label="Photo")
                # Gradio would decode the file and cut 16 bits off; what it cannot decode would have
                # no message.
                photo.preprocess = lambda payload: payload and payload.path
                sliders = [
                    gr.Slider(0, 1, value, step=0.01, label=key, interactive=True)
                    for key, value in demo.thresholds.items()
                ]
            with gr.Column():
                drawn = gr.Image(label="Texts", **picture)
                number = gr.Markdown()
                with gr.Row():
                    json_file = gr.File(label="JSON")
                    crops_file = gr.File(label="Crops")
        with gr.Tab("Crops"):
            crops = gr.Gallery(columns=6, label="Crops", **gallery)
        with gr.Tab("Maps"):
            maps = gr.Gallery(columns=2, label="Maps", **gallery)
        with gr.Tab("Detections"):
            detections = gr.JSON(label="Detections")
        with gr.Tab("Where VLPT looks"):
            words = gr.Textbox(label="Words", placeholder="exit open")
            button = gr.Button("Look")
            figure = gr.Image(label="Attention", **picture)
            for event in (button.click, words.submit):
                event(attention, [state, words], figure, api_name=False)
        outputs = [drawn, number, detections, json_file, crops_file, crops]
        photo.change(look, photo, [state, maps], api_name=False).then(
            show, [state, *sliders], outputs, api_name=False
        )
        for slider in sliders:
            # "release" would leave out arrow keys. While a slider is dragged, only its latest value
            # is decoded.
            slider.change(
                show,
                [state, *sliders],
                outputs,
                api_name=False,
                trigger_mode="always_last",
                show_progress="hidden",
            )
    return page


def serve(page: gradio.Blocks, host: str, port: int) -> None:
    """Serve a page until it is interrupted.

    Args:
        page: of :func:`build_page`.
        host: address to listen at.
        port: to listen at.

    Raises:
        OSError: the port is in use, or the address is not of this computer.
    """
    import gradio as gr

    # The standard themes load their fonts from a server.
    theme = gr.themes.Default(font="sans-serif", font_mono="monospace")
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            theme=theme,
            max_file_size="100mb",
            footer_links=[],
            quiet=True,
            prevent_thread_lock=True,
        )
    except (OSError, OverflowError) as error:
        raise OSError(
            f"cannot listen at port {port} of {host}: the port is in use, or the address is not of "
            "this computer. Choose others with --port and --host"
        ) from error
    print(f"open {address} in a browser; Ctrl-C stops the page", flush=True)
    page.block_thread()
