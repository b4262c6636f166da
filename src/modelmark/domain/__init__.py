"""What exists: frozen types, invariants, the error tree and the ports. Standard library only."""
