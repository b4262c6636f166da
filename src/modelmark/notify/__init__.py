"""The only code that knows Apprise."""
