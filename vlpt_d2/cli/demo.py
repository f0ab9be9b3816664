"""Serve a web page that shows the texts, scores and maps of the photos dropped on it."""

from __future__ import annotations

import argparse

from ..utils.numbers import positive

EPILOG = """examples:
  vlpt-d2 demo
  vlpt-d2 demo --config-file signs/config.yaml --weights signs/model.safetensors
  vlpt-d2 demo --vlpt-config quickstart/pretrain.yaml \\
      --vlpt-weights output/quickstart/pretrain/model_final.pth
Only this computer can open the page. With --host 0.0.0.0, anyone on the network can, without a
password.
Needs gradio: pip install 'vlpt-d2[demo]'."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", help="a model of the zoo (default: db_mobile)")
    add("--config-file", default="", help="config of your own detector, instead of --model")
    add("--weights", default="", help="its checkpoint (default: MODEL.WEIGHTS)")
    add("--vlpt-config", default="", help="config of a VLPT pre-training (default: vlpt_R_50_half)")
    add("--vlpt-weights", default="", help="its checkpoint")
    add("--device", default="auto", help="cpu, cuda:0 … (default: a GPU if there is one)")
    add("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    add("--port", type=positive, default=7860, help="port to listen at (default: 7860)")
    add("--opts", nargs="+", default=[], metavar="KEY VALUE", help="config options of the detector")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted; return 0."""
    try:
        import gradio  # noqa: F401  before the time that loading a model takes
    except ImportError as error:
        raise ImportError(f"{error}: pip install 'vlpt-d2[demo]'") from error
    from ..demo import Demo, build_page, serve
    from ..engine.threads import set_threads
    from ..inspection import load_for_inspection
    from ..predictor import TextPredictor

    predictor = TextPredictor(
        args.model,
        config_file=args.config_file,
        weights=args.weights,
        opts=args.opts,
        device=args.device,
    )
    set_threads(predictor.cfg)
    loaded = load_for_inspection(args.vlpt_config, weights=args.vlpt_weights)
    serve(build_page(Demo(predictor, loaded), predictor.weights), args.host, args.port)
    return 0
