"""Accounts and keys: account add, list, change, disable, password, key, keys, revoke."""

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
    password_stdin: Stdin = False,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Make an account. From the first one on, every approval, release and rollback needs an account.

    Example: modelmark account add bob --name "Bob Ray" --role product
    """
    app = open_app(workspace)
    made = app.people.add(
        login, name=name, roles=role, password=_password(password_stdin), admin=admin, email=email, by=app.principal
    )
    if json:
        say_json(_facts(made))
        return OK
    say(f"✓ {made.name} may sign in as {made.login} ({', '.join(made.roles)}{', administrator' if made.admin else ''})")
    say(f"  a key for scripts: modelmark account key {made.login} --scope approve")
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
    rows = [
        (a.login, a.name, ", ".join(a.roles), ", ".join(sorted(a.permissions())) or "nothing; disabled") for a in found
    ]
    table(("login", "name", "roles", "may"), rows)
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
    say(
        f"✓ {changed.name} ({login}) may: {', '.join(sorted(changed.permissions())) or 'nothing; the account has ended'}"
    )
    return OK


@account.command()
def password(
    login: Login, password_stdin: Stdin = False, workspace: options.Workspace = None, json: options.Json = False
) -> int:
    """Change a password; one's own, or with an administrator's MODELMARK_KEY anybody's.

    With --password-stdin the first line is the password now, where no key says who asks, and the next the new one.

    Example: modelmark account password bob
    """
    app = open_app(workspace)
    by = app.principal
    if by is None:
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
    """Make an API key. It is shown once; set it as MODELMARK_KEY, or send it as `Authorization: Bearer KEY`.

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
                   "revoked_at": k.revoked_at} for k in found])  # fmt: skip
        return OK
    rows = [
        (k.id, k.login, ", ".join(k.scopes), f"{k.expires_at:%Y-%m-%d}", "revoked" if k.revoked_at else "")
        for k in found
    ]
    table(("key", "login", "may", "until", ""), rows) if rows else say("No key yet.")
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


def _facts(account: Account) -> dict[str, Any]:
    return {
        "login": account.login,
        "name": account.name,
        "roles": account.roles,
        "admin": account.admin,
        "email": account.email,
        "permissions": sorted(account.permissions()),
        "disabled_at": account.disabled_at,
    }
