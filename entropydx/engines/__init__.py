"""Engines: each draws completions from one checkpoint."""

import os

# OpenMP reads this when torch loads it. Spinning threads on a busy machine cost more than ten times the speed;
# a user's own setting stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
