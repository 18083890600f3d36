"""Reporters: each renders a report."""
