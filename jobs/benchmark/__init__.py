"""`nst bench`: what the program costs here, beside what others do and what is possible."""
