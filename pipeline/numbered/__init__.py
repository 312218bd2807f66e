"""Films whose frames are numbered pictures: names, probing, files written and verified."""
