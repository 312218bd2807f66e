"""`nst plan`: what a command would do, told before it is begun."""
