"""The routes of the service as Markdown, from the OpenAPI document of the application itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from lightner.service.messages import Reader
from lightner.service.middleware import Keys
from lightner.service.routes import create_app
from lightner.service.settings import RequestLimits, Settings
from lightner.service.teaching.desk import Desk
from lightner.service.teaching.tuner import Jobs

Json = dict[str, Any]

_REF = "#/components/schemas/"
_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "above {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} entries",
    "pattern": "pattern `{}`",
}


def document() -> Json:
    """The OpenAPI document. Nothing is asked of the reader or of Ray while it is made, so that neither has to run."""
    reader, jobs = cast(Reader, object()), cast(Jobs, object())
    desk = Desk.of(Settings(registry="memory:///", registry_timeout_s=1), reader, jobs)
    found: Json = create_app(reader, keys=Keys(None, None), limits=RequestLimits(), desk=desk).openapi()
    return found


def described() -> str:
    """All routes by their tags, then all objects of requests and answers."""
    found = document()
    tags: dict[str, list[str]] = {}
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            tags.setdefault(operation["tags"][0], []).append(_route(method.upper(), path, operation))
    parts = ["\n\n".join([f"## {tag.capitalize()}", *routes]) for tag, routes in tags.items()]
    objects = [_object(name, schema) for name, schema in sorted(found["components"]["schemas"].items())]
    return "\n\n".join([*parts, "## Objects", *objects]) + "\n"


def _route(method: str, path: str, operation: Json) -> str:
    keys = [key for each in operation.get("security", []) for key in each]
    lines: list[str] = [f"### `{method} {path}`", operation.get("description") or operation["summary"]]
    lines.append(f"Key: {', '.join(keys) or 'none'}.")
    if body := operation.get("requestBody"):
        lines.append(f"Body: {_content(body)}.")
    if parameters := operation.get("parameters"):
        rows = [
            f"| `{each['name']}` | {each['in']} | {_type(each['schema'])} | {_words(each, each['schema'])} |"
            for each in parameters
        ]
        lines.append("\n".join(["| parameter | in | type | what it is |", "|---|---|---|---|", *rows]))
    answers = [f"| {status} | {_answer(status, answer)} |" for status, answer in operation["responses"].items()]
    lines.append("\n".join(["| status | answer |", "|---|---|", *answers]))
    return "\n\n".join(lines)


def _answer(status: str, answer: Json) -> str:
    content = _content(answer)
    return content if status.startswith("2") and content else f"{answer['description']}: {content}".rstrip(": ")


def _content(holder: Json) -> str:
    return ", ".join(
        f"{_type(each['schema'])} as `{kind}`" if each.get("schema") else f"`{kind}`"
        for kind, each in holder.get("content", {}).items()
    )


def _object(name: str, schema: Json) -> str:
    lines = [f"### {name}"]
    if text := schema.get("description"):
        lines.append(text)
    if fields := schema.get("properties"):
        required = schema.get("required", [])
        rows = [
            f"| `{field}` | {_type(each)} | {'yes' if field in required else _default(each)} | {_words(each, each)} |"
            for field, each in fields.items()
        ]
        lines.append("\n".join(["| field | type | required | what it is |", "|---|---|---|---|", *rows]))
    return "\n\n".join(lines)


def _default(schema: Json) -> str:
    return f"no: `{schema['default']}`" if schema.get("default") is not None else "no"


def _type(schema: Json) -> str:
    """The type in words, with links to objects."""
    if ref := schema.get("$ref"):
        name = ref.removeprefix(_REF)
        return f"[{name}](#{name.lower()})"
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(each) for each in several)
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if "items" in schema else "list"
    if isinstance(values := schema.get("additionalProperties"), dict):
        return f"object of {_type(values)}"
    return cast(str, schema.get("type", "any value"))


def _words(described: Json, schema: Json) -> str:
    """Description and limits, in one cell of a table."""
    words = [described["description"]] if described.get("description") else []
    found = "; ".join([*words, *dict.fromkeys(_limits(schema))])
    return found.replace("\n", " ").replace("|", "\\|")


def _limits(schema: Json) -> Iterator[str]:
    yield from (words.format(schema[key]) for key, words in _LIMITS.items() if key in schema)
    for each in schema.get("anyOf", []):
        yield from _limits(each)
