"""Answers as the native protocol writes them, from columns: no object per row stands between scores and bytes.

    {"id", "model", "version", "arm", "served_by", "predictions": [...], "flags": [{"row", "field", "flag"}]}

A prediction is `{"label", "score", "probabilities": {class: p}}`, `{"value"}` of a regression, `{"label"}` of a constant, and
empty where a person will answer.
"""

from __future__ import annotations

from typing import Final

import msgspec

from modelmark.domain.predictions.prediction import ServedBy
from modelmark.serving.answers import Answer
from modelmark.serving.models import LoadedModel

_encode: Final = msgspec.json.Encoder().encode


class _Flag(msgspec.Struct):
    row: int
    field: str
    flag: str


class Form:
    """The pieces of JSON between the numbers of one version's answers, made once."""

    def __init__(self, version: LoadedModel) -> None:
        self.version = version
        decide, labels = version.decide, [_encode(name) for name in version.contract.outputs.classes]
        self._regression, self._width = decide.regression, decide.width
        self._positive = decide.positive if decide.binary else None
        self._bare = [b'{"label":%b}' % label for label in labels]
        self._opening = [b'{"label":%b,"score":' % label for label in labels]
        first, *others = (_encode(name) for name in version.classes) if labels else (b"",)
        self._names = [b',"probabilities":{%b:' % first, *(b",%b:" % name for name in others)]
        self._heads: dict[tuple[str, str], bytes] = {}

    def body(self, answer: Answer) -> bytes:
        """The answer's JSON, in UTF-8."""
        head = self._heads.get((answer.arm, answer.served_by)) or self._head(answer.arm, answer.served_by)
        flags = _encode([_Flag(*flag) for flag in answer.flags]) if answer.flags else b"[]"
        return b"".join((b'{"id":"', answer.id.encode(), head, self._rows(answer), b'],"flags":', flags, b"}"))

    def _head(self, arm: str, served_by: ServedBy) -> bytes:
        facts = {"model": self.version.model, "version": self.version.label, "arm": arm, "served_by": served_by}
        made = self._heads[arm, served_by] = b'",%b,"predictions":[' % _encode(facts)[1:-1]
        return made

    def _rows(self, answer: Answer) -> bytes:
        if answer.served_by is ServedBy.REVIEW:
            return b",".join([b"{}"] * answer.rows.count)
        if self._regression:
            return b'{"value":%b}' % _encode(answer.scores)[1:-1].replace(b",", b'},{"value":')
        if answer.served_by is ServedBy.CONSTANT:
            return b",".join([self._bare[at] for at in answer.decided])
        return self._with_probabilities(answer)

    def _with_probabilities(self, answer: Answer) -> bytes:
        """Every row is as many pieces; a slice with a step sets one piece of all rows at once."""
        numbers, decided, width = _encode(answer.scores)[1:-1].split(b","), answer.decided, self._width
        each = 2 * width + 3
        pieces = [b"}},"] * (each * len(decided))
        pieces[::each] = [self._opening[at] for at in decided]
        if self._positive is not None:
            pieces[1::each] = numbers[self._positive :: width]
        else:
            pieces[1::each] = [numbers[row * width + at] for row, at in enumerate(decided)]
        for at, name in enumerate(self._names):
            pieces[2 + 2 * at :: each] = [name] * len(decided)
            pieces[3 + 2 * at :: each] = numbers[at::width]
        pieces[-1] = b"}}"
        return b"".join(pieces)
