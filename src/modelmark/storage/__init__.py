"""The only code that knows SQL, and where the files of versions lie."""
