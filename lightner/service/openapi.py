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


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problems that a route may answer with, as FastAPI's `responses`."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
