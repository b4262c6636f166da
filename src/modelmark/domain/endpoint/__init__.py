"""What the endpoint and those who look after it agree on: its keys, its workers, its cache."""
