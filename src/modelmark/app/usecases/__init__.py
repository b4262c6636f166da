"""What people and machines do with Modelmark, one a file: a frozen dataclass of the ports it needs, called with what was
asked. Use cases do not know each other; where one needs another's work it takes a callable, wired by the container."""
