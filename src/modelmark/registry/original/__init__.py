"""The author's model itself: what it answers, and what its parts know. Runs in the child only."""
