"""A whole table through the path that a request takes, part by part, in constant memory."""
