"""Use cases about models that other servers keep."""
