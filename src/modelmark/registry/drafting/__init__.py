"""A draft contract: what the model says of itself, beside what the tables hold."""
