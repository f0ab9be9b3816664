"""List the models of the zoo, or show one."""

from __future__ import annotations

import argparse

EPILOG = """examples:
  vlpt-d2 models
  vlpt-d2 models db_mobile
docs/model_zoo.md has a card for each model. Use a name in vlpt-d2 detect --model, in
TextPredictor(name), or as MODEL.WEIGHTS vlpt://<name> in any config."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="name of a model to show")


def run(args: argparse.Namespace) -> int:
    """Print the table or the entry; return 0."""
    from tabulate import tabulate

    from .. import model_zoo

    if args.name is None:
        rows = []
        for model in map(model_zoo.get, model_zoo.list_models()):
            hmean = model.results.get("hmean")
            rows.append([model.name, hmean, "yes" if model.weights else "no", model.summary])
        headers = ["model", "hmean", "weights", "what"]
        print(
            tabulate(
                rows, headers=headers, floatfmt=".1f", missingval="", maxcolwidths=[None] * 3 + [70]
            )
        )
        print(
            "\nhmean: on the 500 ICDAR2015 test images, in percent. vlpt-d2 models NAME shows more."
        )
        return 0
    model = model_zoo.get(args.name)
    results = ", ".join(f"{name} {value:.1f}" for name, value in model.results.items())
    for label, text in (
        ("what", model.summary),
        ("config", model.config),
        ("weights", model.weights or "none"),
        ("sha256", model.sha256),
        ("trained on", model.trained_on),
        ("ICDAR2015 test", results),
        ("licence", model.licence),
        ("not for", model.not_for),
    ):
        if text:
            print(f"{label:>14}: {text}")
    return 0
