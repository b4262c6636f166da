"""The composition root: containers build every object by hand; use cases are what the command line and the pages call."""
