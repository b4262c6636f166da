"""The forms a card takes: Markdown with Hugging Face's front matter, one offline HTML page, a PDF."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from modelmark.domain.errors import Missing
from modelmark.domain.theme import CONFIG
from modelmark.governance.card import Card, CardPart, Statement

_STYLE: Final = """
:root { --ink: #16191d; --soft: #58606a; --line: #d9dde3; --accent: #0060a0; --ground: #fff; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e8ebef; --soft: #a4adb8; --line: #343b45; --accent: #63b3ee; --ground: #14171b; } }
body { max-width: 820px; margin: 24px auto; padding: 0 16px; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 24px; } h2 { font-size: 17px; margin: 24px 0 4px; border-bottom: 1px solid var(--line); }
ul { margin: 4px 0; padding-left: 20px; } li { margin: 4px 0; } em { color: var(--soft); } a { color: var(--accent); }
svg { max-width: 100%; height: auto; } figure { margin: 12px 0; } figcaption { color: var(--soft); font-size: 13px; }
code { font: 12px ui-monospace, Menlo, "DejaVu Sans Mono", monospace; }
@page { size: A4; margin: 18mm; }
@media print { body { font-size: 10pt; margin: 0; max-width: none; } h2, figure { break-inside: avoid; } }
"""


def markdown(card: Card) -> str:
    """A README.md as Hugging Face reads it: YAML front matter with a model index, then the sections."""
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    results = [
        EvalResult(
            task_type=card.task, dataset_type="holdout", dataset_name="holdout", metric_type=metric, metric_value=value,
            dataset_revision=card.version.lineage.holdout_digest.hex,
        )
        for metric, value in card.results
    ]  # fmt: skip
    data = ModelCardData(
        library_name="onnx",
        pipeline_tag=card.task,
        tags=["tabular", "onnx", "modelmark"],
        model_name=card.title,
        eval_results=results or None,
    )
    made = ModelCard.from_template(data, template_str="---\n{{ card_data }}\n---\n\n{{ body }}", body=_body(card))
    return str(made.content)


def html(card: Card) -> str:
    """One page that opens offline and runs nothing."""
    import markupsafe
    from markdown_it import MarkdownIt

    text = MarkdownIt("commonmark", {"html": False}).enable("table").render(_body(card))
    for part in card.parts:
        heading = f"<h2>{markupsafe.escape(part.title)}</h2>"
        text = text.replace(heading, heading.replace("<h2>", f'<h2 id="{_anchor(part.title)}">'), 1)
    for receipt in card.receipts:
        text = text.replace(f"<li>[{receipt.number}] ", f'<li id="receipt-{receipt.number}">[{receipt.number}] ', 1)
    figures = "".join(_figures(part) for part in card.parts)
    title = markupsafe.escape(f"Model card of {card.title}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main>{text}{figures}</main></body></html>\n"
    )


def pdf(card: Card) -> bytes:
    """The page on paper. Raises Missing without the libraries that lay it out."""
    try:
        import weasyprint
    except OSError as error:  # WeasyPrint loads Pango when it is imported
        raise Missing(
            f"a PDF needs Pango, which cannot be loaded ({str(error).splitlines()[0]})",
            code="NO_PANGO",
            hint="apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0, or --format html",
        ) from None

    made: bytes = weasyprint.HTML(string=html(card), url_fetcher=_nothing).write_pdf()
    return made


#: name -> how a card takes that form.
FORMS: Final[Mapping[str, Callable[[Card], str | bytes]]] = {"md": markdown, "html": html, "pdf": pdf}


def _nothing(url: str, *_: Any, **__: Any) -> Any:
    raise ValueError(f"a card fetches nothing, and not {url[:80]}")


def _body(card: Card) -> str:
    lines = [
        f"# Model card: {_plain(card.title)}",
        "",
        f"As of {card.at:%Y-%m-%d %H:%M} UTC. Numbers in brackets lead to the receipts.",
        "",
    ]
    for part in card.parts:
        lines += [f"## {part.title}", ""]
        lines += [_line(statement) for statement in part.statements]
        lines += [f"- *{_plain(part.waits_for[:1].upper() + part.waits_for[1:])}.*"] if part.waits_for else []
        lines.append("")
    lines += ["## Receipts", "", "`modelmark verify` compares each with what was signed and recorded.", ""]
    for r in card.receipts:
        lines.append(f"- [{r.number}] {_plain(r.what)}, {r.at:%Y-%m-%d %H:%M} UTC, `{r.digest}`")
    return "\n".join(lines) + "\n"


def _line(statement: Statement) -> str:
    sign = f"{statement.sign} " if statement.sign else ""
    receipt = f" [\\[{statement.receipt}\\]](#receipt-{statement.receipt})" if statement.receipt else ""
    return f"- {sign}{_plain(statement.text)}{receipt}"


def _plain(text: str) -> str:
    """Data is text, never markup: what Markdown would read as such is escaped."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>()#|!~" else c for c in " ".join(text.split()))


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _figures(part: CardPart) -> str:
    import markupsafe
    import vl_convert

    drawn = []
    for figure in part.figures:
        spec = {key: value for key, value in figure.spec.items() if key != "$schema"}
        svg = str(vl_convert.vegalite_to_svg(spec, config=CONFIG))
        label = markupsafe.escape(figure.title)
        shown = f'<svg role="img" aria-label="{label}"{svg[svg.index("<svg") + 4 :]}'
        drawn.append(f"<figure><figcaption>{markupsafe.escape(part.title)}: {label}</figcaption>{shown}</figure>")
    return "".join(drawn)
