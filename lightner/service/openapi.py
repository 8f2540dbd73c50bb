"""Parts of the OpenAPI document that several routes share: parameters, keys and problems."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Path, Query
from fastapi.params import Depends as Dependency
from fastapi.security import HTTPBearer

from lightner.service.problems import MEDIA_TYPE
from lightner.service.schemas import NAME_PATTERN, Name, Problem

DomainPath = Annotated[str, Path(pattern=NAME_PATTERN, description="name of a published domain")]
PromptQuery = Annotated[Name | None, Query(description="alias or version of the prompt; nothing: the live one")]

# Documentation only: `middleware` enforces keys, before the body is read.
READ_KEY: Dependency = Depends(
    HTTPBearer(scheme_name="key", auto_error=False, description="the service's read or admin key, where one is set")
)
ADMIN_KEY: Dependency = Depends(
    HTTPBearer(scheme_name="admin key", auto_error=False, description="the service's admin key")
)
ANNOTATE_KEY: Dependency = Depends(
    HTTPBearer(scheme_name="annotate key", auto_error=False, description="the service's annotate or admin key")
)


def conflicts(form: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """The problem of a conflict that has further members, as FastAPI's `responses`."""
    schema = form.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)  # they are among the document's components
    return {409: {"description": HTTPStatus.CONFLICT.phrase, "content": {MEDIA_TYPE: {"schema": schema}}}}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problems that a route may answer with, as FastAPI's `responses`."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
