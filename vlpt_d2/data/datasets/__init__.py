"""Readers, one file per dataset; :mod:`~.builtin` lists them."""
