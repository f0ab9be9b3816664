"""Comparisons of pre-trainings: a grid of runs, what is missing of it, and its tables."""
