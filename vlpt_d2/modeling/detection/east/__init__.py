"""EAST: a score and a rectangle from every cell of a text."""
