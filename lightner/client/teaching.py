"""Teaching a domain through the service: its labels, labelled examples and tunings. Made by `Client.teaching`.

Needs the annotate key, or the admin key. Answers are the service's JSON (docs/serving.md): examples and tunings are
records that are shown and sent back.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import httpx

from lightner.types import InputError

Json: TypeAlias = Mapping[str, Any]
Ask: TypeAlias = Callable[..., Json]
MAX_LISTED = 200
MAX_ADDED = 256
_ENDED = frozenset({"finished", "failed", "stopped"})


class Teaching:
    """One domain's labels, examples and tunings.

    Methods raise kinds of ClientError as `Client` does. A change that somebody else was faster with is a ProblemError
    of status 409 whose `problem.present` is the present value. Changes are never sent twice, since the second would
    meet the first; adding is, since what is there already is only reported.
    """

    def __init__(
        self, domain: str, *, ask: Ask, ask_once: Ask, stream: Callable[..., AbstractContextManager[httpx.Response]]
    ) -> None:
        self.domain = domain
        self._ask, self._once, self._stream = ask, ask_once, stream
        self._path = f"/v1/domains/{domain}"

    def labels(self) -> Json:
        """The labels that are taught, with the revision that a change has to state."""
        return self._ask("GET", f"{self._path}/labels")

    def put_labels(self, labels: Sequence[Json], *, revision: int) -> Json:
        """Replace all labels: each a mapping with `name`, and perhaps `words` and `colour`."""
        return self._once("PUT", f"{self._path}/labels", json={"revision": revision, "labels": list(labels)})

    def add(self, examples: Sequence[str | Json], *, split: bool = False) -> list[Json]:
        """Add texts, or mappings with `text` and perhaps `spans` and `state`; each answer says whether it is new."""
        bodies = [{"text": each} if isinstance(each, str) else dict(each) for each in examples]
        found: list[Json] = []
        for start in range(0, len(bodies), MAX_ADDED):
            body = {"examples": bodies[start : start + MAX_ADDED], "split": split}
            found += self._ask("POST", f"{self._path}/examples", json=body)["examples"]
        return found

    def examples(self, *, state: str | None = None, order: str = "added") -> Iterator[Json]:
        """All examples, perhaps of one state, in an order: `added`, `changed`, or `suggested`."""
        offset = 0
        while True:
            given = {"order": order, "offset": offset, "limit": MAX_LISTED, **({"state": state} if state else {})}
            answer = self._ask("GET", f"{self._path}/examples", params=given)
            yield from answer["examples"]
            offset += len(answer["examples"])
            if not answer["examples"] or offset >= answer["total"]:
                return

    def example(self, id_: str, *, proposals: bool = True) -> Json:
        """An example with its words, its history and, if it is open, what is proposed for it."""
        return self._ask("GET", self._one(id_), params={"proposals": proposals})

    def change(
        self, id_: str, spans: Sequence[Json], *, revision: int, state: str = "done", provenance: str = "corrected"
    ) -> Json:
        """Give an example its spans, mappings with `start`, `end` and `label`, and its state."""
        body = {"revision": revision, "spans": list(spans), "state": state, "provenance": provenance}
        return self._once("PUT", self._one(id_), json=body)

    def undo(self, id_: str, *, revision: int) -> Json:
        """Return an example to what it was before its last change."""
        return self._once("POST", f"{self._one(id_)}/undo", json={"revision": revision})

    def delete(self, id_: str, *, revision: int) -> None:
        """Remove an example with its history."""
        self._once("DELETE", self._one(id_), params={"revision": revision})

    def counts(self) -> Json:
        """How many examples there are of each state and label."""
        return self._ask("GET", f"{self._path}/examples/counts")

    def hold_out(self, share: float, *, seed: int = 0) -> Json:
        """Move a share of the done examples into the fixed test set."""
        return self._once("POST", f"{self._path}/examples/hold-out", json={"share": share, "seed": seed})

    def import_file(self, name: str, content: str | bytes, **options: Any) -> Json:
        """Add the labelled sentences of a file: its text, or its bytes, of which a Parquet, Arrow or DocBin file has to
        be given. `options` are `state`, `columns` and `repairs`."""
        if isinstance(content, bytes):
            given = {"content_base64": base64.b64encode(content).decode("ascii")}
        else:
            given = {"content": content}
        body = {"name": name, **given, **options}
        return self._ask("POST", f"{self._path}/examples/import", json=body)

    def export(self, form: str = "examples", *, state: str | None = None) -> str:
        """Examples as the content of a file."""
        given = {"format": form, **({"state": state} if state else {})}
        with self._stream("GET", f"{self._path}/examples/export", params=given) as answer:
            return "".join(answer.iter_text())

    def plan(self) -> Json:
        """What a tuning would learn from, and what is still thin."""
        return self._ask("GET", f"{self._path}/tunings/plan")

    def tune(self, **options: Any) -> Json:
        """Start a tuning; `options` are `seed`, `budget_minutes`, `lengths`, `rates` and `force`."""
        return self._once("POST", f"{self._path}/tunings", json=options)

    def tunings(self) -> list[Json]:
        """The tunings of the domain, the newest first."""
        found: list[Json] = self._ask("GET", f"{self._path}/tunings")["tunings"]
        return found

    def tuning(self, id_: str) -> Json:
        """A tuning: how far it is, and what came of it."""
        return self._ask("GET", self._run(id_))

    def watch(self, id_: str) -> Iterator[Json]:
        """A tuning at each change until it has ended; connects again as often as it takes."""
        last: Json | None = None
        while last is None or last["state"] not in _ENDED:
            self.tuning(id_)  # with the client's patience, where the service does not answer for a while
            try:
                with self._stream("GET", f"{self._run(id_)}/events") as answer:
                    for line in answer.iter_lines():
                        if line.startswith("data: ") and (seen := json.loads(line.removeprefix("data: "))) != last:
                            last = seen
                            yield seen
            except httpx.TransportError:
                continue

    def stop(self, id_: str) -> Json:
        """Stop a tuning; one with the same options later resumes from where it was."""
        return self._ask("DELETE", self._run(id_))

    def _one(self, id_: str) -> str:
        return f"{self._path}/examples/{_plain(id_)}"

    def _run(self, id_: str) -> str:
        return f"{self._path}/tunings/{_plain(id_)}"


def _plain(id_: str) -> str:
    """The id, if it cannot lead to another route."""
    if not isinstance(id_, str) or not id_.replace("-", "").isalnum() or not id_.isascii():
        raise InputError(f"id: found {id_!r:.80}, expected one that the service gave")
    return id_
