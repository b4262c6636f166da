"""The composition root: reads settings once, builds every object by hand, in order."""
