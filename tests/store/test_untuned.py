"""A prompt of label words alone as an artefact, and domains that begin with one."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lightner.evaluation.metrics import score
from lightner.jobs.gate import Opponents, judge
from lightner.labels import label_set
from lightner.model.untuned import UNTUNED_REACH, label_prompt
from lightner.store import artifact as artifacts
from lightner.store import card as cards
from lightner.store.artifact import PromptArtifact, from_files, to_files
from lightner.store.lineage import Measured, unseen
from lightner.store.loading import load, prompt_for
from lightner.store.registry import LIVE, DomainExists, Published, Registry, UnknownPrompt
from lightner.store.untuned import untuned_artifact
from lightner.tagger import tag_words
from lightner.types import Calibration, InputError, Sentence
from tests.support.tiny import save, tiny_backbone

BACKBONE = tiny_backbone()
LABELS = label_set({"person": None, "place": "a city to go to", "food": ["bread", "soup"]})
WORDS = tuple(
    tuple(text.split())
    for text in (
        "ada likes soup", "emil lives in oslo", "the bread of rome", "mary and emil", "on monday the group likes bread",
        "ada lives in paris and mary in rome", "soup of the city", "a place to ada",
    )
)  # fmt: skip


def made(domain: str = "movies") -> PromptArtifact:
    return untuned_artifact(domain, LABELS, BACKBONE)


def test_a_loaded_prompt_is_equal_to_the_last_bit(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path / "prompts"))
    registry.publish(made())
    version, fetched = registry.fetch("movies")
    loaded, own = prompt_for(fetched, BACKBONE), label_prompt(BACKBONE, LABELS)
    assert version == "v000001"
    assert loaded.labels == own.labels == LABELS
    assert loaded.label_vectors.equal(own.label_vectors)
    tensors = own.guidance.tensors()
    assert list(loaded.guidance.tensors()) != []
    assert all(tensor.equal(tensors[name]) for name, tensor in loaded.guidance.tensors().items())
    assert loaded.reach == own.reach == UNTUNED_REACH
    assert loaded.draft_tagger is own.draft_tagger is None


def test_its_scores_are_calibrated_by_the_backbone_that_reads_it() -> None:
    warm = replace(BACKBONE, calibration=Calibration(2.0, -0.5))
    text = ("Ana", "met", "Bob", "in", "Oslo")
    found, raw = (tag_words(backbone, [(label_prompt(backbone, LABELS), text)])[0] for backbone in (warm, BACKBONE))
    assert found == [(span, warm.calibration.probability(score)) for span, score in raw] != raw
    assert tag_words(warm, [(prompt_for(made(), warm), text)]) == [found]


def test_it_is_saved_and_loaded_as_any_other(tmp_path: Path) -> None:
    save(BACKBONE, tmp_path / "backbone")
    artifacts.save(made(), tmp_path / "prompt")
    assert load(tmp_path / "prompt", backbone=str(tmp_path / "backbone")).prompt.labels == LABELS


def test_its_card_says_that_nothing_was_learned_or_measured() -> None:
    card = made().card
    assert (card.tuning, card.metrics, card.untuned) == ({"tuned_on": 0}, {}, True)
    assert card.data["sentences"] == 0
    assert (card.length, card.slots, card.reach) == (len(LABELS), 0, UNTUNED_REACH)
    assert cards.from_json(cards.to_json(card)) == card
    text = cards.readme(card)
    assert "label names and their words alone" in text
    assert "its F1 has not been measured" in text
    assert "learned_from" not in text
    assert not cards.Card("a", ("b",), (("b",),), "c", "0" * 64, 0, 0).untuned


def test_the_gate_lets_it_tag_the_sentences_of_a_tuned_version() -> None:
    prompt = label_prompt(BACKBONE, LABELS)
    found = tag_words(BACKBONE, [(prompt, words) for words in WORDS])
    # Their gold entities are those that the untuned prompt finds: a prompt that finds nothing is worse.
    sentences = [
        Sentence(words, tuple(span for span, _ in spans)) for words, spans in zip(WORDS, found, strict=True) if spans
    ]
    assert len(sentences) > 3
    assert all(unseen(sentences, made().card))
    for found_all, passed in ((True, True), (False, False)):
        scores = tuple(score([each.spans], [each.spans if found_all else ()]) for each in sentences)
        measured, against = Measured(tuple(sentences), scores), Opponents(made(), {})
        verdict = judge(measured, LABELS.names, against, BACKBONE, seed=0)
        assert verdict.passed is passed
        assert f"against 100.0 of the live version on {len(sentences)} sentences from which" in verdict.comparison


class Crowded(Registry):
    """A registry in which another process publishes the same domain between the first read and the last write."""

    def publish(
        self, artifact: PromptArtifact, *, alias: str | None = LIVE, attachments: Mapping[str, bytes] | None = None
    ) -> Published:
        published = super().publish(artifact, alias=alias, attachments=attachments)
        Registry(self.objects).publish(artifact)
        return published


class TestCreating:
    def test_the_first_version_goes_live(self, tmp_path: Path) -> None:
        registry = Registry.open(str(tmp_path))
        published = registry.create(made())
        assert (published.version, published.alias) == ("v000001", LIVE)
        assert registry.resolve("movies") == "v000001"

    def test_a_domain_that_exists_is_left_as_it_is(self, tmp_path: Path) -> None:
        registry = Registry.open(str(tmp_path))
        registry.publish(made(), alias="candidate")
        for look in (registry.create, lambda artifact: registry.must_be_new(artifact.card.domain)):
            with pytest.raises(DomainExists, match="found v000001 of domain 'movies', expected none"):
                look(made())
        assert (registry.versions("movies"), registry.aliases("movies")) == (("v000001",), {"candidate": "v000001"})

    def test_an_overtaken_publisher_does_not_move_the_alias(self, tmp_path: Path) -> None:
        registry = Crowded.open(str(tmp_path))
        with pytest.raises(DomainExists, match="found domain 'movies' made by another meanwhile"):
            registry.create(made())
        assert registry.resolve("movies") == "v000002"

    @pytest.mark.parametrize("number", range(3))
    def test_only_one_of_several_concurrent_calls_succeeds(self, tmp_path: Path, number: int) -> None:
        registry, together = Registry.open(str(tmp_path)), threading.Barrier(4)

        def create(_: int) -> str | None:
            together.wait(20)
            try:
                return registry.create(made()).version
            except DomainExists:
                return None

        with ThreadPoolExecutor(4) as threads:
            versions = [version for version in threads.map(create, range(4)) if version]
        assert versions == [registry.resolve("movies")]

    def test_a_half_written_version_does_not_count(self, tmp_path: Path) -> None:
        (tmp_path / "movies" / "versions" / "v000001").mkdir(parents=True)
        (tmp_path / "movies" / "versions" / "v000001" / "card.json").write_text("{}")
        registry = Registry.open(str(tmp_path))
        with pytest.raises(UnknownPrompt):
            registry.resolve("movies")
        assert registry.create(made()).version == "v000002"


@pytest.mark.parametrize("domain", ["Movies", "", "a/b"])
def test_a_name_that_no_domain_can_have_is_refused(domain: str) -> None:
    with pytest.raises(InputError, match="domain: found"):
        made(domain)


def test_the_largest_set_of_labels_can_be_published() -> None:
    labels = label_set({f"label {number}": f"the {number} of a group" for number in range(200)})
    files = to_files(untuned_artifact("many", labels, BACKBONE))
    assert prompt_for(from_files(files, where="here"), BACKBONE).labels == labels
