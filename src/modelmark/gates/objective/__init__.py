"""What the release is worth, and its guardrails."""
