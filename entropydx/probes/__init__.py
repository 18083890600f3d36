"""Probes: each turns samples into measurements."""
