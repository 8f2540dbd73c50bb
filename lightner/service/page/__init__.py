"""The web pages at `/` and `/teach`: static files that load nothing from other hosts and may run only their scripts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

FOLDER = Path(__file__).resolve().parent
FILES = {
    "/": "index.html",
    "/page.css": "page.css",
    "/page.js": "page.js",
    "/icon.svg": "icon.svg",
    "/teach": "teach.html",
    "/teach/teach.css": "teach/teach.css",
    "/teach/colours.js": "teach/colours.js",
    "/teach/conflict.js": "teach/conflict.js",
    "/teach/curve.js": "teach/curve.js",
    "/teach/document.js": "teach/document.js",
    "/teach/domain.js": "teach/domain.js",
    "/teach/drafts.js": "teach/drafts.js",
    "/teach/events.js": "teach/events.js",
    "/teach/files.js": "teach/files.js",
    "/teach/label.js": "teach/label.js",
    "/teach/label_rows.js": "teach/label_rows.js",
    "/teach/listing.js": "teach/listing.js",
    "/teach/main.js": "teach/main.js",
    "/teach/progress.js": "teach/progress.js",
    "/teach/queue.js": "teach/queue.js",
    "/teach/result.js": "teach/result.js",
    "/teach/sentence.js": "teach/sentence.js",
    "/teach/service.js": "teach/service.js",
    "/teach/spans.js": "teach/spans.js",
    "/teach/state.js": "teach/state.js",
    "/teach/texts.js": "teach/texts.js",
    "/teach/try.js": "teach/try.js",
    "/teach/tune.js": "teach/tune.js",
}
"""Files by their paths at the service; anybody may have them, without a key."""

# With trusted types the browser itself refuses to turn text into HTML.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def router() -> APIRouter:
    """A route for each file."""
    routes = APIRouter(include_in_schema=False)
    for path, name in FILES.items():
        routes.add_api_route(path, _sender(name), methods=["GET"], response_class=FileResponse)
    return routes


def _sender(name: str) -> Callable[[], Awaitable[FileResponse]]:
    async def send() -> FileResponse:
        return FileResponse(FOLDER / name, headers=HEADERS)

    return send
