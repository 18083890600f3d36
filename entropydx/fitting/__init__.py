"""Trains the classifier on labelled cases: `python -m entropydx.fitting fixtures/cases` (`make train-classifier`).

Needs scikit-learn (extras `dev` and `lab`); a diagnosis does not. What is fitted, and why this, is argued in
docs/adr/0008-classifier.md; the table there is written by `--compare`.
"""
