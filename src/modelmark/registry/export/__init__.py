"""What other servers and clusters take, written from a marked version."""
