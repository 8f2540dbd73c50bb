"""An HTTP client of the service: texts in, entities out. Needs httpx and tenacity; imports neither ray nor torch.

    with Client("http://localhost:8000") as client:
        for tagged in client.tag("recipes", ["Whisk 150 g of sugar."]):
            print(tagged.entities)

Temporary failures are retried: while the service starts, is overloaded or was killed, requests are sent again after
growing pauses, never sooner than its `Retry-After` says, until the client's patience ends.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx
from tenacity import RetryCallState, Retrying, before_sleep_log, retry_if_exception, stop_before_delay
from tenacity.wait import wait_random_exponential

from lightner.client._requests import MAX_LABEL_CHARACTERS as MAX_LABEL_CHARACTERS
from lightner.client._requests import MAX_TEXT_CHARACTERS as MAX_TEXT_CHARACTERS
from lightner.client._requests import MAX_TEXTS as MAX_TEXTS
from lightner.client._requests import MAX_TOTAL_CHARACTERS as MAX_TOTAL_CHARACTERS
from lightner.client._requests import (
    Item,
    Labels,
    Size,
    characters_of,
    checked_labels,
    checked_prompt,
    portions,
    sendable,
)
from lightner.client.teaching import Teaching as Teaching
from lightner.texts import checked_list, checked_texts
from lightner.thresholds import GivenThreshold, Thresholds
from lightner.types import Entity, InputError, TaggedText, check_key, check_name

LIVE = "live"

CONNECT_TIMEOUT_S = 5.0
_PROBLEM = "application/problem+json"
_PASSING = frozenset({408, 429, 503, 504})
# Without a problem document these come from a proxy or from a process that died, as the service explains its own.
_PASSING_UNEXPLAINED = frozenset({500, 502})
_PAUSES = wait_random_exponential(multiplier=0.2, max=10)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tagged:
    """A text's entities, the prompt version that found them, and in how many windows the text was read."""

    domain: str
    prompt_version: str
    entities: tuple[Entity, ...]
    windows: int


@dataclass(frozen=True, slots=True)
class Described:
    """The card of one version of a domain's prompt."""

    domain: str
    prompt_version: str
    card: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Named:
    """The version that an alias of a domain names."""

    domain: str
    alias: str
    version: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document (RFC 9457); `errors` maps a field of the request to what is wrong with it."""

    type: str
    title: str
    status: int
    detail: str
    domain: str | None = None
    prompt_version: str | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    present: Mapping[str, Any] | None = None
    """Of a conflict: what is there now."""


class ClientError(Exception):
    """The service could not be reached or refused a request."""


class UnreachableError(ClientError):
    """No answer came: no connection, a broken one, or the timeout."""


class UnexpectedAnswerError(ClientError):
    """The answer is not from this service: its form is another one."""


class ProblemError(ClientError):
    """The service refused a request. `retry_after_s` is after how long it may be sent again, if the service said so."""

    def __init__(self, problem: Problem, *, retry_after_s: float | None, passing: bool) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}")
        self.problem = problem
        self.retry_after_s = retry_after_s
        self.passing = passing


class Client:
    """A connection to the service at `url`. Use it in a `with` block or close it; several threads may share it.

    `timeout_s` bounds each wait of one attempt, `patience_s` all attempts of a request together. Methods raise kinds of
    ClientError, and InputError for arguments that no service would accept.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_s: float = 60.0,
        patience_s: float = 60.0,
        texts_per_request: int = 64,
    ) -> None:
        if not 1 <= texts_per_request <= MAX_TEXTS:
            raise InputError(f"texts_per_request: found {texts_per_request}, expected 1 to {MAX_TEXTS}")
        _check_url(url)
        if key is not None:
            check_key(key, "key")
        self._most = texts_per_request
        self._http = httpx.Client(
            base_url=url,
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S)),
        )
        self._tries = Retrying(
            retry=retry_if_exception(_passes),
            wait=_pause_s,
            stop=stop_before_delay(patience_s),
            before_sleep=before_sleep_log(_log, logging.INFO),
            reraise=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def tag(
        self,
        domain: str,
        texts: Iterable[str | Sequence[str]],
        *,
        threshold: GivenThreshold = 0.0,
        thresholds: Mapping[str, float] | None = None,
        prompt: str | None = None,
    ) -> list[Tagged]:
        """Entities of each text, in the order of the texts; those below a threshold are left out.

        `thresholds` of labels are in place of `threshold`. "tuned" takes those that were fitted with the prompt; where
        none were, all entities stay.

        Long lists take several requests, one after another. If an alias moves meanwhile, each `Tagged` says which
        version it is of.
        """
        path = f"/v1/domains/{check_name(domain, 'domain')}/entities"
        given = checked_texts(texts)
        options = {**Thresholds.of(threshold, thresholds).plain, "prompt": checked_prompt(prompt, "prompt")}
        sizes = [Size(characters_of(text, f"texts[{place}]")) for place, text in enumerate(given)]
        found: list[Tagged] = []
        for start, end in portions(sizes, self._most):
            body = {"texts": given[start:end], **options}
            answer = self._asked("POST", path, json=body)
            with _expected():
                found += [_tagged({**answer, **result}) for result in answer["results"]]
        return found

    def tag_labels(
        self,
        labels: Labels,
        texts: Iterable[str | Sequence[str]],
        *,
        threshold: GivenThreshold = 0.0,
        thresholds: Mapping[str, float] | None = None,
    ) -> list[TaggedText]:
        """Entities of each text by labels that nothing was tuned for, in the order of the texts.

        Raises ProblemError where the service cannot use the labels, or read one of the texts.
        """
        given = checked_labels(labels, "labels")
        items = [Item(text=text, labels=given) for text in checked_texts(texts)]
        found: list[TaggedText] = []
        for each in self.tag_mixed(items, threshold=threshold, thresholds=thresholds):
            if isinstance(each, Problem):
                raise ProblemError(each, retry_after_s=None, passing=each.status in _PASSING)
            found.append(TaggedText(each.entities, each.windows))
        return found

    def tag_mixed(
        self,
        items: Iterable[Item],
        *,
        threshold: GivenThreshold = 0.0,
        thresholds: Mapping[str, float] | None = None,
    ) -> list[Tagged | TaggedText | Problem]:
        """Entities of texts of any domains or with labels of their own, read together.

        What was read by labels is of no domain. A text that could not be read has a problem in its place.
        """
        given = [sendable(item, f"items[{place}]") for place, item in enumerate(checked_list(items, "items"))]
        least = Thresholds.of(threshold, thresholds).plain
        found: list[Tagged | TaggedText | Problem] = []
        for start, end in portions([each.size for each in given], self._most):
            body = {"items": [each.body for each in given[start:end]], **least}
            answer = self._asked("POST", "/v1/entities", json=body)
            with _expected():
                found += map(_result, answer["results"])
        return found

    def domains(self) -> list[str]:
        """Names of the published domains, sorted."""
        answer = self._asked("GET", "/v1/domains")
        with _expected():
            return list(answer["domains"])

    def describe(self, domain: str, prompt: str | None = None) -> Described:
        """A domain's card: labels, backbone, how its prompt was tuned and how good it is."""
        query = {"prompt": prompt} if prompt else {}
        answer = self._asked("GET", f"/v1/domains/{check_name(domain, 'domain')}", params=query)
        with _expected():
            return Described(answer["domain"], answer["prompt_version"], answer["card"])

    def create_domain(self, domain: str, labels: Labels) -> Named:
        """Publish the first version of a new domain, from its labels; needs the admin key.

        Never retried, since a second call would find what the first one made: after an error, look whether it exists.
        """
        body = {"domain": check_name(domain, "domain"), "labels": checked_labels(labels, "labels")}
        return _named(self._asked_once("POST", "/v1/domains", json=body))

    def set_alias(self, domain: str, version: str, *, alias: str = LIVE) -> Named:
        """Let an alias name a published version; needs the admin key."""
        path = f"/v1/domains/{check_name(domain, 'domain')}/alias"
        return _named(self._asked("PUT", path, json={"alias": alias, "version": version}))

    def rollback(self, domain: str, *, alias: str = LIVE) -> Named:
        """Let an alias name again the version that it named before; needs the admin key.

        Never retried, since a second call would go back once more: after an error, look which version is live.
        """
        path = f"/v1/domains/{check_name(domain, 'domain')}/rollback"
        return _named(self._asked_once("POST", path, json={"alias": alias}))

    def teaching(self, domain: str) -> Teaching:
        """A domain's labels, examples and tunings; needs the annotate key, or the admin key."""
        name = check_name(domain, "domain")
        return Teaching(name, ask=self._asked, ask_once=self._asked_once, stream=self._streamed)

    def _asked(self, method: str, path: str, **content: Any) -> Any:
        return self._tries(self._asked_once, method, path, **content)

    def _asked_once(self, method: str, path: str, **content: Any) -> Any:
        try:
            answer = self._http.request(method, path, **content)
        except httpx.RequestError as error:
            raise UnreachableError(
                f"{method} {self._http.base_url.join(path)}: {error or type(error).__name__}"
            ) from error
        if answer.is_success:
            with _expected():
                return answer.json()
        raise _refused(answer)

    @contextmanager
    def _streamed(self, method: str, path: str, **content: Any) -> Iterator[httpx.Response]:
        with self._http.stream(method, path, **content) as answer:
            if not answer.is_success:
                answer.read()
                raise _refused(answer)
            yield answer


def _check_url(url: str) -> None:
    try:
        usable = httpx.URL(url).scheme in ("http", "https")
    except (httpx.InvalidURL, TypeError):
        usable = False
    if not usable:
        raise InputError(f"url: found {url!r}, expected http://... or https://...")


@contextmanager
def _expected() -> Iterator[None]:
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnexpectedAnswerError(f"found an answer in another form than this service's: {error!r}") from error


def _refused(answer: httpx.Response) -> ProblemError:
    retry_after_s = _retry_after_s(answer.headers.get("retry-after", ""))
    if answer.headers.get("content-type", "").partition(";")[0].strip() == _PROBLEM:
        with _expected():
            problem = _problem(answer.json())
        return ProblemError(problem, retry_after_s=retry_after_s, passing=problem.status in _PASSING)
    title = HTTPStatus(answer.status_code).phrase if answer.status_code in set(HTTPStatus) else "Unknown"
    problem = Problem("about:blank", title, answer.status_code, "the answer says no more")
    passing = answer.status_code in _PASSING | _PASSING_UNEXPLAINED
    return ProblemError(problem, retry_after_s=retry_after_s, passing=passing)


def _passes(error: BaseException) -> bool:
    return isinstance(error, UnreachableError) or (isinstance(error, ProblemError) and error.passing)


def _pause_s(state: RetryCallState) -> float:
    # The random pause comes on top, so that clients with the same Retry-After do not all return at the same moment.
    error = state.outcome.exception() if state.outcome else None
    wanted_s = error.retry_after_s if isinstance(error, ProblemError) else None
    return _PAUSES(state) + (wanted_s or 0.0)


def _retry_after_s(text: str) -> float | None:
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _result(found: Mapping[str, Any]) -> Tagged | TaggedText | Problem:
    if "problem" in found:
        return _problem(found["problem"])
    return TaggedText(_entities(found), found["windows"]) if found["domain"] is None else _tagged(found)


def _tagged(found: Mapping[str, Any]) -> Tagged:
    return Tagged(found["domain"], found["prompt_version"], _entities(found), found["windows"])


def _entities(found: Mapping[str, Any]) -> tuple[Entity, ...]:
    return tuple(
        Entity(
            start=each["start"],
            end=each["end"],
            text=each["text"],
            label=each["label"],
            score=each["score"],
            start_word=each.get("start_word"),
            end_word=each.get("end_word"),
        )
        for each in found["entities"]
    )


def _problem(found: Mapping[str, Any]) -> Problem:
    return Problem(
        type=found["type"],
        title=found["title"],
        status=found["status"],
        detail=found["detail"],
        domain=found.get("domain"),
        prompt_version=found.get("prompt_version"),
        errors={each["field"]: each["message"] for each in found.get("errors") or ()},
        present=found.get("present"),
    )


def _named(found: Mapping[str, Any]) -> Named:
    with _expected():
        return Named(found["domain"], found["alias"], found["version"])
