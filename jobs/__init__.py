"""What a user asks for: job specifications, the jobs, and the command line that calls them."""
