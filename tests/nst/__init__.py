"""`import nst`: the ten names, their types, and what its page and its notebook show."""
