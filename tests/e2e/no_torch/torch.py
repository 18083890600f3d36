"""Put on PYTHONPATH by the end-to-end tests: what must work without torch fails here if it imports it."""

raise ImportError("torch is banned in this test")
