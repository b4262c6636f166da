"""A running server held to its own OpenAPI description by schemathesis: what it describes is what it does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.config import ChecksConfig, GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.config._checks import NegativeDataRejectionConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

#: What happened lies in the last days, which no schema can say. From whole hours, so that a run can be repeated.
_BEGUN = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
schemathesis.openapi.format(
    "date-time", st.integers(0, 28 * 86_400).map(lambda ago: (_BEGUN - timedelta(seconds=ago)).isoformat())
)

#: Seeded, so that a run can be repeated; more by hand: examples=1000.
EXAMPLES = 15


def hold(
    address: str, document: str, *, beyond: Sequence[str] = (), examples: int = EXAMPLES,
    headers: dict[str, str] | None = None,
) -> int:  # fmt: skip
    """Ask every operation what its description allows, and what it does not, and validate each answer: status, media type,
    schema, that data within it is taken and other data refused. The number of operations; raises what fails.

    beyond: beginnings of the operations whose data must also fit each other, which no schema can say: they may refuse some.
    """
    described = schemathesis.openapi.from_url(f"{address}{document}", headers=headers or {}, config=_config(examples))
    operations = [found.ok() for found in described.get_all_operations()]
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.path_parameters):
                continue
            known = str(operation.definition.raw.get("operationId", "")).startswith(tuple(beyond)) if beyond else False
            left_out = [positive_data_acceptance] if known else []
            _ask(operation.as_strategy(generation_mode=mode), examples, headers, left_out)
    return len(operations)


def _config(examples: int) -> SchemathesisConfig:
    refused = NegativeDataRejectionConfig(expected_statuses=[400, 401, 403, 404, 405, 413, 414, 415, 422, 429, 431])
    made = GenerationConfig(max_examples=examples, deterministic=True, database="none")
    project = ProjectConfig(checks=ChecksConfig(negative_data_rejection=refused), generation=made)
    return SchemathesisConfig(projects=ProjectsConfig(default=project))


def _ask(cases: Any, examples: int, headers: dict[str, str] | None, left_out: list[Any]) -> None:
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

    @settings(max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=quiet)
    @given(case=cases)
    def asked(case: Any) -> None:
        case.call_and_validate(headers=headers, excluded_checks=left_out)

    asked()
