"""What is measured with: films, pictures, networks."""
