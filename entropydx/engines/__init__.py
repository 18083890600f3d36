"""Engines: each draws completions from one checkpoint."""
