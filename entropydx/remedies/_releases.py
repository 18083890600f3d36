"""Releases of each trainer that have the keys of the catalogue; the last is the one that they are tested against."""

RELEASES = {"trl": "1.10-1.16", "verl": "0.8-0.9.1", "openrlhf": "0.11-0.11.2"}
REQUESTS = {"decoding": "OpenAI-compatible requests, openai 3.57.0"}
"""What every server takes; the keys are tested against the requests that OpenAI's own client types."""
