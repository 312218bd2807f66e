"""The whole command line, for tests that call it in their own process."""

from jobs.cli.commands import app_for

app = app_for(())
