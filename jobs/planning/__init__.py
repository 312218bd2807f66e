"""Plans of commands: what would be done, and how long that takes, found out before it is begun."""
