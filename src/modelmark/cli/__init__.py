"""Commands; a few lines each over `app`."""


def main() -> None:
    raise SystemExit("modelmark: no command yet")
