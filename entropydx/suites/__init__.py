"""Suites: each is one procedural family of prompts with exact answers."""
