"""Whether things happen as often as the model says."""
