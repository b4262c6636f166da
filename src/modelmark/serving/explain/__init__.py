"""Explanations of answers, in a process that cannot slow any answer down."""
