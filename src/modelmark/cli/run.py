"""What keeps running: serve, steward, up; and labels, which feed it."""
