"""One file per protocol: bytes to a request, an answer to bytes."""
