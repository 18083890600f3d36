"""Pin threads before torch is imported: two OpenMP threads on a busy box make tiny models 10-60 times slower.

And hear interrupts, whatever started the tests.
"""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
# Where the tests themselves run on GitHub, what they start must not publish itself there.
for name in ("GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
    os.environ.pop(name, None)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell lets its jobs in the background ignore interrupts, which the processes that tests interrupt would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
