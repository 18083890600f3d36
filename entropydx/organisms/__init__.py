"""Organisms: recipes that grow small checkpoints with a failure planted by its real cause."""
