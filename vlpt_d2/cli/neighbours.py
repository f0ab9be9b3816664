"""List the nearest words in a pre-trained word embedding."""

from __future__ import annotations

import argparse
from pathlib import Path

from .model_arguments import (
    add_model_arguments,
    check_figure,
    load_model,
    number_of_answers,
    write_figure,
)

EPILOG = """examples:
  vlpt-d2 neighbours vote sale river
  vlpt-d2 neighbours vote sale river --config-file pretrain.yaml --bert bert-base-uncased \\
      MODEL.WEIGHTS output/pretrain/model_final.pth
Words are compared by the cosine of their rows in the embedding table. A word of several tokens has
the mean of their rows; special tokens are never neighbours."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="WORD", help="words to find neighbours of")
    parser.add_argument(
        "--bert", help="folder or Hugging Face name of a BERT model to compare with"
    )
    parser.add_argument("--top", type=number_of_answers, default=10, help="neighbours of each word")
    parser.add_argument("--output", type=Path, help="write a bar chart to this file")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the neighbours; return 0."""
    from tabulate import tabulate

    from ..config.settings import default_settings
    from ..inspection import WordTable, load_bert_table, nearest_words

    # Options may follow the words without anything between.
    keys = default_settings()
    end = next((i for i, word in enumerate(args.words) if word in keys), len(args.words))
    args.words, args.rest = args.words[:end], [*args.words[end:], *args.rest]
    if not args.words:
        args.parser.error("the following arguments are required: WORD")
    if args.output:
        check_figure(args.output)
    loaded = load_model(args)
    tables = [WordTable.of_model(loaded)]
    shared = None
    if args.bert:
        tables.append(load_bert_table(args.bert))
        vocabularies = [table.vocabulary for table in tables]
        if vocabularies[0] != vocabularies[1]:
            shared = vocabularies[0] & vocabularies[1]
            print(
                f"the vocabularies differ ({len(vocabularies[0])} and {len(vocabularies[1])} "
                f"tokens): neighbours are among the {len(shared)} tokens that both have"
            )
    # All words first, so that a wrong one is reported before anything is printed.
    found = [[nearest_words(t, word, args.top, shared) for t in tables] for word in args.words]
    for word, columns in zip(args.words, found):
        pieces = tables[0].tokenizer.tokens(tables[0].tokenizer.pieces(word))
        print(f"\n{word}" + (f" (mean of {' '.join(pieces)})" if len(pieces) > 1 else ""))
        rows = [
            [text for column in columns for text in _cells(column, i)]
            for i in range(max(len(column) for column in columns))
        ]
        print(
            tabulate(
                rows, headers=[h for t in tables for h in (t.name, "cosine")], disable_numparse=True
            )
        )
    if args.output:
        from ..visualization.words import plot_neighbours

        names = [table.name for table in tables]
        write_figure(args.output, plot_neighbours, args.words, names, found)
    return 0


def _cells(column: list[tuple[str, float]], row: int) -> tuple[str, str]:
    return (column[row][0], f"{column[row][1]:.3f}") if row < len(column) else ("", "")
