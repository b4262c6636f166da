"""Commands about what is watched after a release."""
