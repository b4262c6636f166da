"""What happened, in order: the write-ahead log of predictions and labels, and its columnar tables."""
