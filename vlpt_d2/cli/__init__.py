"""The verbs of the console script ``vlpt-d2``, one module each.

A verb has ``add_parser(subparsers)`` and ``run(args) -> int``. Its module imports nothing heavy at
the top, so that every verb's help can be read, and ``doctor`` run, on a broken installation.
"""
