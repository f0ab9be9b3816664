"""Backbones, text detectors and pre-trainings; :func:`vlpt_d2.load_parts` registers them."""
