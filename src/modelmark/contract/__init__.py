"""The one file people write: read it, infer it from data, check a row or a table against it."""
