"""The process of a command beside its work: closed streams, supervision, last words."""
