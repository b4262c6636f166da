"""Accounts and keys: account add, reset, redeem, confirm, list, change, disable, password, key, keys, revoke."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_app
from modelmark.cli.output import OK, say, say_json, table
from modelmark.domain.errors import Rejected
from modelmark.domain.people import Permission, Role
from modelmark.domain.printable import one_line

if TYPE_CHECKING:
    from modelmark.domain.people import Account

account = typer.Typer(
    help="Who may sign in, and the keys of machines.",
    epilog='Example: modelmark account add bob --name "Bob Ray" --role product',
    no_args_is_help=True,
    rich_markup_mode=None,
)
Login = Annotated[str, typer.Argument(help="The name to sign in with: a-z 0-9 . _ -")]
Stdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read passwords from standard input, a line each, for scripts.")
]


@account.command()
def add(
    login: Login,
    name: Annotated[str, typer.Option(help="Full name, as in contracts.")],
    role: Annotated[list[Role], typer.Option(help="A role; may be given several times.")],
    email: Annotated[str, typer.Option(help="Where to reach this person.")] = "",
    admin: Annotated[
        bool, typer.Option("--admin", help="May also make accounts; the first account always may.")
    ] = False,
    machine: Annotated[
        bool, typer.Option("--machine", help="No person: it has keys and no password, and never approves or waives.")
    ] = False,
    password_stdin: Stdin = False,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Make an account. The first is your own, with a password; the others get a link, and choose theirs.

    Example: modelmark account add bob --name "Bob Ray" --role product
    """
    app = open_app(workspace)
    token = ""
    if app.people.accounts() or app.principal is not None:
        made, token = app.people.invite(
            login, name=name, roles=role, admin=admin, machine=machine, email=email, by=app.principal
        )
    else:
        made = app.people.add(login, name=name, roles=role, password=_password(password_stdin), email=email)
    if json:
        say_json(_facts(made) | ({"link": token} if token else {}))
        return OK
    held = f"{', '.join(made.roles)}{', administrator' if made.admin else ''}"
    if machine:
        say(f"✓ the machine {made.name} is {made.login} ({held})")
        say(f"  a key for it: modelmark account key {made.login} --scope view --scope register")
    elif token:
        say(f"✓ {made.name} is invited as {made.login} ({held})")
        _say_link(made.login, token)
    else:
        say(f"✓ {made.name} may sign in as {made.login} ({held})")
        say(f"  a key for scripts: modelmark account key {made.login} --scope approve")
    return OK


def _say_link(login: str, token: str) -> None:
    say(f"  for {login} alone, once, within 24 hours: /redeem?link=… on the dashboard, or modelmark account redeem")
    say(f"  then somebody else says that only {login} holds it: modelmark account confirm {login}; shown this once:")
    say(f"  {token}")


@account.command()
def reset(login: Login, workspace: options.Workspace = None, json: options.Json = False) -> int:
    """Make a link with which a person chooses a new password; theirs works until then. Takes an administrator's key.

    Example: modelmark account reset bob
    """
    app = open_app(workspace)
    token = app.people.reset(login, by=app.principal)
    if json:
        say_json({"login": login, "link": token})
        return OK
    say(f"✓ a link for {login} is made")
    _say_link(login, token)
    return OK


@account.command()
def redeem(password_stdin: Stdin = False, workspace: options.Workspace = None, json: options.Json = False) -> int:
    """Choose the password of your account with the link you were given: its part after `link=`.

    Example: modelmark account redeem
    """
    app = open_app(workspace)
    token = _line() if password_stdin else _ask("The link: ")
    account = app.people.links.redeem(token.rpartition("link=")[2], _password(password_stdin))
    if json:
        say_json(_facts(account))
        return OK
    say(f"✓ {account.name} may sign in as {account.login}; earlier sessions and keys have ended")
    say(f"  somebody other than {account.issued_by} confirms it: modelmark account confirm {account.login}")
    return OK


@account.command()
def confirm(
    login: Login,
    by: Annotated[
        str, typer.Option(help="Your login: your password is asked for [default: the owner, at set-up].")
    ] = "",
    password_stdin: Stdin = False,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Say that a person, and nobody else, holds their password. Until then they approve, waive and administer nothing.

    The owner of the workspace says so while it is set up, and for accounts of earlier versions; later another person does.

    Example: modelmark account confirm bob --by cy
    """
    app = open_app(workspace)
    principal = app.people.by_password(by, _line() if password_stdin else _ask(f"Password of {by}: ")) if by else None
    confirmed = app.people.links.confirm(login, by=principal)
    if json:
        say_json(_facts(confirmed))
    else:
        say(f"✓ {confirmed.name} holds {login}, says {confirmed.confirmed_by}; may: {_may(confirmed)}")
    return OK


@account.command("list")
def list_accounts(workspace: options.Workspace = None, json: options.Json = False) -> int:
    """Every account and what it may do.

    Example: modelmark account list --json
    """
    found = open_app(workspace).people.accounts()
    if json:
        say_json([_facts(item) for item in found])
        return OK
    if not found:
        say("No account yet: the owner of this workspace acts for everybody. Next: modelmark account add LOGIN --help")
        return OK
    rows = [(a.login, a.name, ", ".join(a.roles), _may(a), _credential(a)) for a in found]
    table(("login", "name", "roles", "may", "credential"), rows)
    return OK


@account.command()
def disable(login: Login, workspace: options.Workspace = None, json: options.Json = False) -> int:
    """End an account; its sessions and keys open nothing from now on.

    Example: modelmark account disable bob
    """
    app = open_app(workspace)
    ended = app.people.disable(login, by=app.principal)
    say_json(_facts(ended)) if json else say(f"✓ {ended.name} may no longer sign in")
    return OK


@account.command()
def change(
    login: Login,
    role: Annotated[
        list[Role] | None,
        typer.Option(help="The roles from now on; may be given several times [default: as they are]."),
    ] = None,
    admin: Annotated[
        bool | None, typer.Option("--admin/--no-admin", help="May make accounts [default: as it is].")
    ] = None,
    enable: Annotated[bool, typer.Option("--enable", help="Open an account again that was ended.")] = False,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Give an account other roles, make it an administrator or not, or open it again.

    Example: modelmark account change bob --role risk --admin
    """
    app = open_app(workspace)
    changed = app.people.change(login, roles=role or None, admin=admin, enable=enable, by=app.principal)
    if json:
        say_json(_facts(changed))
        return OK
    say(f"✓ {changed.name} ({login}) may: {_may(changed)}")
    return OK


@account.command()
def password(
    login: Login, password_stdin: Stdin = False, workspace: options.Workspace = None, json: options.Json = False
) -> int:
    """Change your password. Whoever has forgotten theirs is given a link: modelmark account reset.

    With --password-stdin the first line is the password now, and the next the new one.

    Example: modelmark account password bob
    """
    app = open_app(workspace)
    by = app.people.by_password(login, _line() if password_stdin else _ask("Password now: "))
    app.people.change_password(login, _password(password_stdin), by=by)
    if json:
        say_json({"login": login, "changed": True})
        return OK
    say(f"✓ the password of {login} is changed; its sessions have ended")
    return OK


@account.command()
def key(
    login: Login,
    scope: Annotated[list[Permission], typer.Option(help="What the key may do; may be given several times.")],
    days: Annotated[int, typer.Option(help="How long it lives, 1 to 366.")] = 90,
    password_stdin: Stdin = False,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Make an API key of yours, or as an administrator a machine's. It is shown once, for MODELMARK_KEY or
    `Authorization: Bearer KEY`.

    Example: modelmark account key bob --scope view --scope approve --days 30
    """
    app = open_app(workspace)
    by = app.principal
    if by is None:
        given = _line() if password_stdin else _ask(f"Password of {login}: ")
        by = app.people.by_password(login, given)
    made, secret = app.people.issue_key(login, scopes=scope, days=days, by=by)
    if json:
        say_json({"id": made.id, "login": login, "scopes": made.scopes, "expires_at": made.expires_at, "key": secret})
        return OK
    say(f"✓ key {made.id} of {login} for {', '.join(made.scopes)}, until {made.expires_at:%Y-%m-%d}; shown this once:")
    say(f"  {secret}")
    return OK


@account.command()
def keys(workspace: options.Workspace = None, json: options.Json = False) -> int:
    """Every key: whose, for what, until when. The secrets are not kept.

    Example: modelmark account keys
    """
    found = open_app(workspace).people.keys()
    if json:
        say_json([{"id": k.id, "login": k.login, "scopes": k.scopes, "expires_at": k.expires_at,
                   "revoked_at": k.revoked_at, "issued_by": k.issued_by} for k in found])  # fmt: skip
        return OK
    rows = [
        (
            k.id,
            k.login,
            ", ".join(k.scopes),
            f"{k.expires_at:%Y-%m-%d}",
            k.issued_by or "not recorded",
            "revoked" if k.revoked_at else "",
        )
        for k in found
    ]
    table(("key", "login", "may", "until", "made by", ""), rows) if rows else say("No key yet.")
    return OK


@account.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, as `account keys` lists it.")],
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """End a key at once.

    Example: modelmark account revoke 1f2e3d4c5b6a
    """
    app = open_app(workspace)
    ended = app.people.revoke_key(key, by=app.principal)
    say_json({"id": ended.id, "revoked_at": ended.revoked_at}) if json else say(f"✓ key {ended.id} opens nothing now")
    return OK


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return _line()
    first = _ask("Password: ")
    if first != _ask("The same again: "):
        raise Rejected("the two passwords differ", code="PASSWORDS_DIFFER", field="password")
    return first


def _line() -> str:
    return sys.stdin.readline().rstrip("\n")


def _ask(prompt: str) -> str:
    import getpass

    if not sys.stdin.isatty():
        raise Rejected(
            "there is no terminal to ask for a password", code="NO_TERMINAL", field="password",
            hint="give --password-stdin, or set MODELMARK_KEY",
        )  # fmt: skip
    return getpass.getpass(one_line(prompt))


def _may(account: Account) -> str:
    return ", ".join(sorted(account.permissions())) or "nothing; disabled"


def _credential(account: Account) -> str:
    """Who had a hand in it."""
    if account.machine:
        return "machine"
    if not account.password:
        return f"invited by {account.issued_by}"
    if not account.issued_by:
        return "own"
    return f"issued by {account.issued_by}, " + (
        f"confirmed by {account.confirmed_by}" if account.confirmed_by else "not confirmed"
    )


def _facts(account: Account) -> dict[str, Any]:
    return {
        "login": account.login,
        "name": account.name,
        "roles": account.roles,
        "admin": account.admin,
        "email": account.email,
        "permissions": sorted(account.permissions()),
        "disabled_at": account.disabled_at,
        "machine": account.machine,
        "issued_by": account.issued_by,
        "confirmed_by": account.confirmed_by,
    }
