"""Checkers: each tells true computations from false ones in a completion."""
