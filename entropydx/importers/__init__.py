"""Readers of other tools' files, one a file; helpers that several share begin with an underscore."""
