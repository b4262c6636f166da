"""The tables against the contract, and train against the holdout."""
