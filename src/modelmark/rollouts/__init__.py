"""May a version have more traffic? Verdicts that hold however often they are asked for."""
