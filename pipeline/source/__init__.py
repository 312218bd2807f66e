"""What a film is before it is touched: its streams, packets and times."""
