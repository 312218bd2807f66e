"""What users name as pictures: found, with the masks beside them, and read for trainings."""
