"""The service against requests that schemathesis makes from its OpenAPI document: no 500, and documented answers only.

The requests are derived from the document, not random: the same ones at each run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import negative_data_rejection, positive_data_acceptance
from schemathesis.schemas import BaseSchema

from lightner.service.middleware import Keys
from lightner.service.replica import BackboneReplica
from lightner.service.routes import create_app
from lightner.service.settings import RequestLimits
from tests.support.served import listening
from tests.support.serving import DOMAINS, bearer, prepare
from tests.support.teaching import NamedJobs, desk_of

ADMIN = "admin key"
EXAMPLES = 25
CREATE = ("POST", "/v1/domains")
OPERATIONS = (
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/readyz"),
    ("GET", "/v1/domains"),
    ("GET", "/v1/domains/{domain}"),
    CREATE,
    ("POST", "/v1/domains/{domain}/entities"),
    ("POST", "/v1/domains/{domain}/rollback"),
    ("POST", "/v1/entities"),
    ("PUT", "/v1/domains/{domain}/alias"),
    ("GET", "/v1/teaching"),
    ("GET", "/v1/domains/{domain}/labels"),
    ("PUT", "/v1/domains/{domain}/labels"),
    ("GET", "/v1/domains/{domain}/examples"),
    ("POST", "/v1/domains/{domain}/examples"),
    ("GET", "/v1/domains/{domain}/examples/counts"),
    ("GET", "/v1/domains/{domain}/examples/export"),
    ("POST", "/v1/domains/{domain}/examples/hold-out"),
    ("POST", "/v1/domains/{domain}/examples/import"),
    ("DELETE", "/v1/domains/{domain}/examples/{id}"),
    ("GET", "/v1/domains/{domain}/examples/{id}"),
    ("PUT", "/v1/domains/{domain}/examples/{id}"),
    ("POST", "/v1/domains/{domain}/examples/{id}/undo"),
    ("GET", "/v1/domains/{domain}/tunings"),
    ("POST", "/v1/domains/{domain}/tunings"),
    ("GET", "/v1/domains/{domain}/tunings/plan"),
    ("DELETE", "/v1/domains/{domain}/tunings/{id}"),
    ("GET", "/v1/domains/{domain}/tunings/{id}"),
    ("GET", "/v1/domains/{domain}/tunings/{id}/events"),
    ("GET", "/v1/domains/{domain}/label-studio/health"),
    ("POST", "/v1/domains/{domain}/label-studio/setup"),
    ("POST", "/v1/domains/{domain}/label-studio/predict"),
    ("POST", "/v1/domains/{domain}/label-studio/webhook"),
)


ONLY_DOMAIN = {
    ("GET", f"/v1/domains/{{domain}}/{each}")
    for each in ("labels", "examples/counts", "tunings", "tunings/plan", "label-studio/health")
}
# Routes without parameters, or with none but a right domain, cannot get a wrong request.
CASES = [
    (method, path, published, mode)
    for method, path in OPERATIONS
    for published in ([True, False] if "{domain}" in path else [False])
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or "{domain}" in path or method == "POST"
    if mode is GenerationMode.POSITIVE or not (published and (method, path) in ONLY_DOMAIN)
]
# A form says nothing of words, of labels that there are, of revisions, or of what there is to export.
TAUGHT = ("/labels", "/examples", "/tunings", "/label-studio")


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseSchema]:
    place = prepare(tmp_path_factory.mktemp("place"))
    reader = BackboneReplica(place.settings)
    app = create_app(
        reader,
        keys=Keys("read key", ADMIN),
        limits=RequestLimits(),
        desk=desk_of(place.registry.url, reader, jobs=NamedJobs()),
    )
    with listening(app) as url:
        described = httpx.get(f"{url}/openapi.json", headers=bearer(ADMIN)).json()
        for operations in described["paths"].values():
            for operation in operations.values():
                # Who may ask is tested in test_serve_guards; here every request bears our key.
                operation.pop("security", None)
        document = schemathesis.openapi.from_dict(described)
        document.config.update(base_url=url)
        # A body that is too long is refused before its schema is looked at.
        document.config.checks.negative_data_rejection.expected_statuses.append("413")
        yield document


def test_every_operation_of_the_document_is_tried(document: BaseSchema) -> None:
    found: list[Any] = [operation.ok() for operation in document.get_all_operations()]
    assert sorted((each.method.upper(), each.path) for each in found) == sorted(OPERATIONS)


@pytest.mark.parametrize(("method", "path", "published", "mode"), CASES)
def test_no_request_makes_it_fail_or_answer_what_it_does_not_document(
    document: BaseSchema, method: str, path: str, published: bool, mode: GenerationMode
) -> None:
    statuses: Counter[int] = Counter()
    operation: Any = document[path][method]
    creates = (method, path) == CREATE
    # With the path mended a request may be right after all; and a form says nothing of labels with equal words.
    teaches = any(each in path for each in TAUGHT)
    excluded = [negative_data_rejection] if published else [positive_data_acceptance] if creates else []
    excluded += [positive_data_acceptance] if teaches else []

    @settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if published:
            case.path_parameters["domain"] = "movies"
        if creates and mode is GenerationMode.POSITIVE:
            # No other case uses a domain with such a name.
            case.body["domain"] = f"made.{case.body['domain']}"[:128]
        if mode is GenerationMode.POSITIVE and path.endswith("/entities"):
            # A form says nothing of which labels there are; those of a domain made of labels are not known here.
            known = DOMAINS["movies"][0].names if published else ()
            case.body["thresholds"] = dict(zip(known, case.body.get("thresholds", {}).values(), strict=False))
        answer = case.call(headers=bearer(ADMIN))
        statuses[answer.status_code] += 1
        case.validate_response(answer, excluded_checks=excluded)

    ask()
    if mode is GenerationMode.NEGATIVE:
        assert statuses[422] > 0
    elif creates:
        assert statuses[201] > 0
    elif teaches:
        assert statuses.total() > 0
    elif published and method in ("GET", "POST") and "rollback" not in path:
        assert statuses[200] > 0
    elif "{domain}" in path:
        assert set(statuses) == {404}
