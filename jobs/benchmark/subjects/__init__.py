"""What is measured beside the program itself."""
