"""Datasets are registered where their names are used."""

from vlpt_d2.config import load_parts

load_parts()
