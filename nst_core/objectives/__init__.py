"""What trainings and optimisations lower."""
