"""What breaks servers, sent to an endpoint: attack."""

from __future__ import annotations

import ipaddress
import json as form
import socket
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from modelmark.cli import options
from modelmark.cli.output import OK, REFUSED, progress, require_folder, say, say_json, table, written
from modelmark.domain.errors import Rejected

if TYPE_CHECKING:
    from modelmark.attack.campaign import Attacked

_SHOWN: Final = 20


def attack(
    url: Annotated[str, typer.Argument(help="The endpoint: http://127.0.0.1:8080.", show_default=False)],
    model: Annotated[str | None, typer.Option(help="Whose predictions [default: the only one there is].")] = None,
    grpc: Annotated[str | None, typer.Option(help="Also over gRPC, at HOST:PORT [default: not].")] = None,
    changed: Annotated[int, typer.Option(min=0, max=10_000_000, help="How many changed bodies.")] = 4500,
    calls: Annotated[int, typer.Option(min=0, max=10_000_000, help="How many changed messages over gRPC.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of what is changed; the same gives the same.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write every fault with its bytes to a JSON file.")] = None,
    elsewhere: Annotated[
        bool, typer.Option("--elsewhere", help="Another machine, whose owner has agreed to it.")
    ] = False,
    json: options.Json = False,
) -> int:
    """Send an endpoint some 15,000 inputs that break servers, and hold each outcome to what is right. Exit code 1: one is not.

    No answer may be a 5xx, none may be missing, each refusal has to say why, and good rows are answered as before. Predictions that
    it does answer are journaled like any other: attack a staging workspace.

    Example: modelmark attack http://127.0.0.1:8080 --grpc 127.0.0.1:9090
    """
    from modelmark.attack import campaign

    address = _address(url)
    for host in (address[0], *([grpc.rpartition(":")[0]] if grpc else [])):
        _require_here(host, elsewhere)
    if out is not None:
        require_folder(out)
    target = campaign.target_of(address, model)
    sent = list(campaign.cases(target, seed, changed))
    with progress(quiet=json) as bar:
        found = campaign.attack(address, target, sent, expected=len(sent), progress=bar)
        if grpc:
            from modelmark.attack.calls import call

            call(grpc, target, found, count=calls, seed=seed, progress=bar)
    if out is not None:
        from modelmark.seal.digests import plain

        with written(out):
            out.write_text(form.dumps(plain(found.faults), indent=2) + "\n", encoding="utf-8")
    if json:
        say_json({"model": found.model, "sent": found.sent, "outcomes": _named(found), "faults": found.faults})
    else:
        _say(found, out)
    return REFUSED if found.faults else OK


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
        raise Rejected(
            "this is no address to attack", code="BAD_ADDRESS", field="URL", limit="http://HOST:PORT",
            hint="an endpoint with TLS is attacked before its certificate is given to it",
        )  # fmt: skip
    return parts.hostname, parts.port or 80


def _require_here(host: str, elsewhere: bool) -> None:
    """Raises Rejected for another machine, unless that is meant."""
    try:
        found = {ipaddress.ip_address(info[4][0]) for info in socket.getaddrinfo(host.strip("[]"), None)}
    except OSError as error:
        raise Rejected(f"{host} is no host: {error}", code="BAD_ADDRESS", field="URL", limit="a host") from None
    if not elsewhere and not all(one.is_loopback for one in found):
        raise Rejected(
            f"{host} is another machine", code="ELSEWHERE", field="URL", limit="127.0.0.1, localhost",
            hint="say --elsewhere where its owner has agreed to be attacked",
        )  # fmt: skip


def _named(found: Attacked) -> dict[str, dict[str, int]]:
    return {family: {str(status): n for status, n in sorted(told.items())} for family, told in found.outcomes.items()}


def _say(found: Attacked, out: Path | None) -> None:
    bad = Counter(fault.family for fault in found.faults)
    verdict = "every outcome is right" if not found.faults else f"{len(found.faults):,} outcomes are not right"
    say(f"{'✓' if not found.faults else '✕'} {found.model}: {found.sent:,} inputs sent, {verdict}")
    rows = [
        (
            "✕" if family in bad else "✓",
            family,
            f"{sum(told.values()):,}",
            ", ".join(f"{_told(family, status)} {n:,}" for status, n in sorted(told.items())),
        )
        for family, told in found.outcomes.items()
    ]
    table(("", "what", "sent", "outcomes"), rows)
    for fault in found.faults[:_SHOWN]:
        say(f"  {fault.family}, {fault.why or 'changed'}: {fault.outcome} (allowed: {fault.allowed})")
    if len(found.faults) > _SHOWN:
        say(f"  and {len(found.faults) - _SHOWN:,} more")
    if found.faults and out is None:
        say("  --out FILE writes each with its bytes")


def _told(family: str, status: int) -> str:
    if family.startswith("grpc"):
        from modelmark.attack.calls import NAMES

        return NAMES[status] if 0 <= status < len(NAMES) else str(status)
    return {0: "closed", -1: "no answer"}.get(status, str(status))
