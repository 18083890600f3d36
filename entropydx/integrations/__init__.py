"""Trainers that call entropydx while they train."""
