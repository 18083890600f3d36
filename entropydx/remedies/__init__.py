"""Remedies: each file is the catalogue for one failure."""
