"""A domain as the machine-learning backend of a real Label Studio, where one is installed."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from lightner.service.middleware import Keys
from lightner.service.replica import BackboneReplica
from lightner.service.routes import create_app
from lightner.service.settings import RequestLimits
from tests.support.label_studio import CONFIG, KEY, PROGRAM, TEXT, asked, label_studio, results
from tests.support.served import listening
from tests.support.serving import bearer, prepare
from tests.support.teaching import desk_of

pytestmark = pytest.mark.skipif(PROGRAM not in os.environ, reason=f"found no {PROGRAM} in the environment")


def test_it_proposes_and_its_annotations_become_examples(tmp_path: Path) -> None:
    place = prepare(tmp_path / "place")
    replica = BackboneReplica(place.settings)
    desk = desk_of(place.registry.url, replica)
    app = create_app(replica, keys=Keys(None, None, KEY), limits=RequestLimits(), desk=desk)
    (tmp_path / "studio").mkdir()
    with listening(app) as service, label_studio(tmp_path / "studio") as studio, httpx.Client(base_url=service) as ours:
        ours.headers.update(bearer(KEY))
        project = connect(studio, f"{service}/v1/domains/movies/label-studio")
        task = asked(studio, "POST", f"/api/projects/{project}/tasks", {"data": {"sentence": TEXT}, "project": project})
        [prediction] = predictions(studio, project, task["id"])
        offline = place.offline("movies", TEXT)
        shown = [(each["value"]["text"], each["value"]["labels"]) for each in prediction["result"]]
        assert shown == [(each.text, [each.label]) for each in offline.entities]
        assert prediction["model_version"] == "v000001"

        made = asked(studio, "POST", f"/api/tasks/{task['id']}/annotations", {"result": results("Mary", "PER")})
        [example] = examples(ours)
        assert (example["text"], example["state"], example["provenance"]) == (TEXT, "done", "imported")
        assert [(TEXT[each["start"] : each["end"]], each["label"]) for each in example["spans"]] == [("Mary", "PER")]

        changed = {"result": results("Oslo", "LOC")}
        asked(studio, "PATCH", f"/api/annotations/{made['id']}", changed)
        [example] = examples(ours)
        assert (example["revision"], [each["label"] for each in example["spans"]]) == (2, ["LOC"])

        asked(studio, "DELETE", f"/api/annotations/{made['id']}")
        [example] = examples(ours)
        assert (example["state"], example["spans"]) == ("open", [])


def connect(studio: httpx.Client, url: str) -> int:
    """A project with the domain as its backend, as docs/serving.md describes it."""
    project = asked(studio, "POST", "/api/projects", {"title": "movies", "label_config": CONFIG})["id"]
    basic = base64.b64encode(f"lightner:{KEY}".encode()).decode()
    hook = {"url": f"{url}/webhook", "project": project, "headers": {"Authorization": f"Basic {basic}"}}
    asked(studio, "POST", "/api/webhooks/", {**hook, "send_payload": True, "send_for_all_actions": True})
    backend = {"url": url, "project": project, "title": "LightNER", "auth_method": "BASIC_AUTH"}
    wrong = studio.post("/api/ml/", json={**backend, "basic_auth_user": "lightner", "basic_auth_pass": "another"})
    assert "authentication parameters" in wrong.text
    asked(studio, "POST", "/api/ml/", {**backend, "basic_auth_user": "lightner", "basic_auth_pass": KEY})
    assert [each["url"] for each in asked(studio, "GET", f"/api/webhooks/?project={project}")] == [hook["url"]]
    return int(project)


def predictions(studio: httpx.Client, project: int, task: int) -> list[dict[str, Any]]:
    """Those of a task, once its project has asked its backend for them."""
    selected = {"selectedItems": {"all": True, "excluded": []}}
    asked(studio, "POST", f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}", selected)
    found: list[dict[str, Any]] = asked(studio, "GET", f"/api/predictions?task={task}")
    return found


def examples(ours: httpx.Client) -> list[dict[str, Any]]:
    """The domain's examples."""
    found: list[dict[str, Any]] = ours.get("/v1/domains/movies/examples").json()["examples"]
    return found
