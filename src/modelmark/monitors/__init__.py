"""After release. Each monitor looks at one thing in a window; findings become alerts."""
