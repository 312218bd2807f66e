"""The commands of `nst`, each in a module of its name."""
