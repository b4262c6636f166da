"""Dashboard and control API: translate, call, render."""
