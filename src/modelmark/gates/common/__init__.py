"""What several gates share."""
