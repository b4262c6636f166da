"""Statistics of what is watched after release, one idea a file."""
