"""`python -m pipelines.cli`, which needs no console script on the path."""

from pipelines.cli import main

main()
