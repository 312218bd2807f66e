"""`python -m jobs.cli`: the command without its console script."""

from jobs.cli.main import main

main()
