"""A model on somebody else's server: where it is, what it takes, what it answered. Asked at registration, and to serve."""
