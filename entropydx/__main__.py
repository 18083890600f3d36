"""`python -m entropydx`."""

from entropydx.cli import main

main()
