"""JSON and YAML as people write them, read without surprises."""
