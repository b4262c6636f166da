"""What command line, pages and steward do about experiments."""
