"""Digests, signatures and hash chains: making marks and checking them. The only code that knows cryptography."""
