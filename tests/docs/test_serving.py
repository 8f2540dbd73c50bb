"""docs/serving.md agrees with the service: its routes, problems, limits and examples."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import pytest

from lightner.service import problems, schemas
from lightner.service.messages import Reason, Refusal
from lightner.service.middleware import Keys
from lightner.service.page import FILES
from lightner.service.routes import create_app
from lightner.service.settings import CacheLimits, RequestLimits
from tests.support.paths import CHECKOUT
from tests.support.serving import Hostile
from tests.support.teaching import desk_of

PAGE = (CHECKOUT / "docs" / "serving.md").read_text(encoding="utf-8")


def _document() -> dict[str, Any]:
    reader = Hostile()
    app = create_app(reader, keys=Keys(None, None), limits=RequestLimits(), desk=desk_of("memory:///", reader))
    return app.openapi()


def test_every_route_is_there_with_the_key_that_opens_it() -> None:
    document = _document()
    keys = {"read": "key", "admin": "admin key", "annotate": "annotate key"}
    routes = re.findall(r"^\| `(\w+) (/[^`]*)`(?:, `GET (/[^`]*)`)? \| (\w+) \|", PAGE, re.MULTILINE)
    told = {(method, path): key for method, path, _, key in routes if path not in (*FILES, "/docs")}
    assert told == {
        (method.upper(), path): next(
            (key for key, scheme in keys.items() if {scheme: []} in operation.get("security", [])), "none"
        )
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


@pytest.mark.parametrize("reason", list(Reason))
def test_every_refusal_is_in_the_table_with_its_status(reason: Reason) -> None:
    document = problems.of_refusal(Refusal(reason))
    assert f"| {document.status} | `{document.type.removeprefix('urn:lightner:problem:')}` |" in PAGE


def test_every_status_of_the_document_is_in_the_table() -> None:
    document = _document()
    statuses = {
        status
        for operations in document["paths"].values()
        for operation in operations.values()
        for status in operation["responses"]
    }
    assert statuses - {"200", "201"} <= set(re.findall(r"^\| (\d{3}) \|", PAGE, re.MULTILINE))


def test_limits_are_those_of_the_service() -> None:
    limits = RequestLimits()
    for line in (
        f"| texts of a request | {schemas.MAX_TEXTS} |",
        f"| characters of a text | {schemas.MAX_TEXT_CHARACTERS:,} |",
        f"| characters of a request | {schemas.MAX_TOTAL_CHARACTERS:,} |",
        f"| labels of an item or a new domain | {schemas.MAX_LABELS} |",
        f"| characters of a label's name | {schemas.MAX_NAME_CHARACTERS} |",
        f"| characters of a label's description or words | {schemas.MAX_DESCRIPTION_CHARACTERS} |",
        f"| characters of all labels of a request, each set counted once | {schemas.MAX_LABEL_CHARACTERS:,} |",
        f"With more than {CacheLimits().max_label_sets} new sets at once (`prompts.max_label_sets`)",
        f"| requests that one ingress has in progress | {limits.max_at_once} (`requests.max_at_once`) |",
        f"| time of a request, its body included | {limits.timeout_s:g} s (`requests.timeout_s`) |",
        f"| names of domains and aliases | `{schemas.NAME_PATTERN}` |",
        f"within `alias_ttl_s` ({CacheLimits().alias_ttl_s:g} s)",
    ):
        assert line in PAGE


def test_examples_are_answers_that_the_service_can_give() -> None:
    found = [block for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL) if "..." not in block]
    one, group, mixed, problem = map(json.loads, found)
    schemas.EntitiesResponse.model_validate(one)
    schemas.GroupedEntity.model_validate(group)
    schemas.MixedResponse.model_validate(mixed)
    schemas.Problem.model_validate(problem)


def test_the_program_is_one() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    ast.parse(program)
