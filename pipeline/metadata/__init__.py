"""What a file says of itself beside its streams: tags, chapters, covers, marks."""
