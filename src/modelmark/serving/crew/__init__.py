"""Workers whose number follows the load."""
