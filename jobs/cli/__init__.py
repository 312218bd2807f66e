"""The command line: options in, one job called, its report out."""
