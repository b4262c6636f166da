"""The log: frames, records, the writer that appends them and the reader that checks them."""
