"""Rules: each file is one rule, and its docstring is the page that explains it."""
