"""Pure functions on arrays: intervals, tests, distances. No I/O, no clock."""
