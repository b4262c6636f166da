"""What people read about a version: diff, notes, card, score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_app
from modelmark.cli.output import OK, say, say_document, say_json, table, written
from modelmark.domain.errors import Rejected
from modelmark.domain.people import Role

if TYPE_CHECKING:
    from modelmark.governance.score import Scorecard, Tile


def diff(
    before: Annotated[str, typer.Argument(help="v2, a digest's first digits, champion or latest.")],
    after: Annotated[str, typer.Argument(help="The version to hold against it.")] = "latest",
    everything: Annotated[bool, typer.Option("--all", help="Also what did not move.")] = False,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """What differs between two versions: features, data, figures by gate, contract, size.

    Example: modelmark diff champion v7
    """
    from modelmark.governance.difference import balance, difference

    app = open_app(workspace)
    first = app.find(before, model)
    second = app.find(after, model or first.model)
    sections = difference(app.describe(first), app.describe(second))
    if json:
        said = balance(sections, second.label)
        say_json({"before": first.id, "after": second.id, "balance": said, "sections": sections})
        return OK
    say(f"{first.model} {first.label} ({first.id.short}) → {second.model} {second.label} ({second.id.short})")
    say(balance(sections, second.label))
    for section in sections:
        say(f"\n{section.title.capitalize()}: {section.sentence}")
        rows = section.rows if everything else section.moved
        if rows:
            table(("", first.label, second.label, "change"), [(r.what, r.before, r.after, r.change) for r in rows])
    return OK


def notes(
    version: options.Version = None,
    audience: Annotated[Role, typer.Option(help="Who reads it.")] = Role.PRODUCT,
    against: Annotated[str | None, typer.Option(help="The version it replaces [default: champion].")] = None,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Release notes for one audience, written from what differs and what was measured.

    Example: modelmark notes v7 --audience risk
    """
    app = open_app(workspace)
    found = app.find(version, model)
    text = app.notes(found, audience, app.find(against, model) if against else None)
    say_json({"version": found.id, "audience": audience, "markdown": text}) if json else say_document(text.rstrip())
    return OK


def card(
    version: options.Version = None,
    form: Annotated[str, typer.Option("--format", help="md (as Hugging Face reads it), html or pdf.")] = "md",
    out: Annotated[Path | None, typer.Option(help="Write to a file; a PDF needs one.")] = None,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """The model card: facts from receipts with their dates; what only people can say is empty until signed.

    Example: modelmark card v3 --format pdf --out card.pdf
    """
    from modelmark.governance import card_forms

    if form not in card_forms.FORMS:
        raise Rejected("there is no such form", code="NO_FORM", field="--format", limit=", ".join(card_forms.FORMS))
    if form == "pdf" and out is None and not json:
        raise Rejected("a PDF needs a file", code="NO_FILE", field="--out", limit="a path", hint="--out card.pdf")
    app = open_app(workspace)
    found = app.find(version, model)
    made = app.card(found)
    if out is not None:
        body = card_forms.FORMS[form](made)
        with written(out):
            out.write_bytes(body if isinstance(body, bytes) else body.encode())
    if json:
        say_json(made)
        return OK
    if out is None:
        say_document(str(card_forms.FORMS[form](made)).rstrip())
        return OK
    gaps = [part.title for part in made.parts if part.waits_for]
    say(f"✓ wrote {out}: {len(made.receipts)} receipts; {'empty: ' + ', '.join(gaps) if gaps else 'nothing is empty'}")
    return OK


def score(
    version: Annotated[
        str | None, typer.Argument(help="v3, champion, latest [default: champion, else latest].")
    ] = None,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """The twelve mistakes and Google's ML Test Score: 1 proven by a fresh receipt, 0.5 claimed and signed, 0 stale or open.

    Example: modelmark score champion --json
    """
    from modelmark.governance.score import band

    app = open_app(workspace)
    found = (
        app.find(version, model) if version else app.releases.champion(app.find.model(model)) or app.find(None, model)
    )
    twelve, tests = app.scorecards(found)
    if json:
        say_json({"version": found.id, "twelve_mistakes": _scored(twelve), "ml_test_score": _scored(tests)})
        return OK
    say(f"{found.model} {found.label}: ML Test Score {tests.minimum:g}, {band(tests.minimum)}")
    for board in (twelve, tests):
        say(f"\n{board.title}; weakest: {board.weakest.title}")
        rows = [
            (
                f"{section.title}: {section.points:g}" if i == 0 else "",
                _worth(tile),
                tile.id,
                f"{tile.title}. {tile.sentence}",
            )
            for section in board.sections
            for i, tile in enumerate(section.tiles)
        ]
        table(("", "points", "id", "why"), rows)
    return OK


def _worth(tile: Tile) -> str:
    return f"{tile.points:g} {tile.worth}"


def _scored(board: Scorecard) -> dict[str, Any]:
    from modelmark.seal.digests import plain

    sections = [
        {
            "title": s.title,
            "points": s.points,
            "of": len(s.tiles),
            "told": s.told,
            "tiles": [{**plain(tile), "points": tile.points} for tile in s.tiles],
        }
        for s in board.sections
    ]
    return {"minimum": board.minimum, "weakest": board.weakest.title, "sections": sections}
