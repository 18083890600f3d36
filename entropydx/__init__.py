"""entropydx: which failure a language-model checkpoint has, how sure that is, and what to change."""

__version__ = "0.1.0"
