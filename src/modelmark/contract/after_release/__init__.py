"""Rules of what a contract says about the time after release."""
