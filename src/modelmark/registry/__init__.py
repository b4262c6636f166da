"""The only code that knows MLflow, and the sandbox that alone may unpickle."""
