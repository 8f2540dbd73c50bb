"""WordNet's tables, mentions and label sets: on a hand-made WordNet, and on the real one if it is installed."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nltk
import pytest

from lightner.pretraining import _nltk_wordnet
from lightner.pretraining.wordnet import Mention, WordNet, annotate, label_sentences, load
from lightner.types import InputError
from tests.support.wordnet import NOUNS, write_database

INSTALLED = Path("/usr/share/wordnet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_database(tmp_path)


@pytest.fixture
def wordnet(folder: Path) -> WordNet:
    return load(folder)


@pytest.fixture(scope="module")
def installed() -> WordNet:
    if not INSTALLED.is_dir():
        pytest.skip("Debian's wordnet-base is not installed in /usr/share/wordnet")
    return load(INSTALLED)


def names(wordnet: WordNet) -> dict[int, str]:
    """Synsets by the names that they have in `NOUNS`, whose order is that of the file."""
    return dict(zip(sorted(wordnet.synsets), NOUNS, strict=True))


def number(name: str, wordnet: WordNet) -> int:
    return sorted(wordnet.synsets)[list(NOUNS).index(name)]


def found(text: str, wordnet: WordNet) -> list[tuple[str, str]]:
    words = text.split()
    return [(" ".join(words[m.start : m.end]), names(wordnet)[m.synset_id]) for m in annotate(words, wordnet)]


def test_synsets_have_their_lemmas_their_file_and_what_they_are_instances_of(wordnet: WordNet) -> None:
    paris, city = (wordnet.synsets[number(name, wordnet)] for name in ("Paris", "city"))
    assert paris.lemmas == ("Paris", "City of Light")
    assert (paris.hypernyms, paris.instance_hypernyms) == ((), (city.id,))
    assert paris.is_instance
    assert not city.is_instance
    assert city.lexicographer == "noun.location"


def test_ancestors_climb_instances_and_kinds(wordnet: WordNet) -> None:
    above = {names(wordnet)[ancestor] for ancestor in wordnet.ancestors[number("Paris", wordnet)]}
    assert above == {"Paris", "city", "location", "entity"}
    assert wordnet.ancestors[number("Paris", wordnet)][0] == number("Paris", wordnet), "the synset itself comes first"


def test_senses_keep_order_case_and_counts(wordnet: WordNet) -> None:
    senses = {form: [names(wordnet)[s.synset] for s in wordnet.senses[form]] for form in ("mixture", "china", "China")}
    assert senses == {"mixture": ["mixture", "mixture 2"], "china": ["china"], "China": ["China"]}
    assert [sense.count for sense in wordnet.senses["city"]] == [20]
    assert [sense.count for sense in wordnet.senses["fox"]] == [0]


def test_uses_count_each_part_of_speech_by_itself(wordnet: WordNet) -> None:
    assert (wordnet.uses["noun"]["walk"], wordnet.uses["verb"]["walk"], wordnet.uses["verb"]["see"]) == (4, 40, 0)
    assert wordnet.uses["noun"]["new york"] == 0
    assert wordnet.uses["adj"] == {"parisian": 0}


def test_a_hyponym_is_deeper_than_its_hypernym(wordnet: WordNet) -> None:
    depths = {name: wordnet.depth[number(name, wordnet)] for name in ("entity", "animal", "robin", "Paris")}
    assert depths == {"entity": 0, "animal": 2, "robin": 4, "Paris": 3}


@pytest.mark.parametrize(
    ("form", "base"),
    [("cities", "city"), ("geese", "goose"), ("birds", "bird"), ("attorneys general", "attorney general")],
)
def test_plurals_lead_to_singulars(form: str, base: str, wordnet: WordNet) -> None:
    assert wordnet.noun_bases(form) == (base,)


def test_inflected_verbs_lead_to_infinitives(wordnet: WordNet) -> None:
    assert [wordnet.verb_bases(form) for form in ("saw", "walked", "building")] == [("see",), ("walk",), ("build",)]


def test_common_nouns_and_names_are_found(wordnet: WordNet) -> None:
    assert found("they fed two geese and a robin in Paris .", wordnet) == [
        ("geese", "goose"),
        ("robin", "robin"),
        ("Paris", "Paris"),
    ]


def test_the_longest_lemma_wins(wordnet: WordNet) -> None:
    assert annotate(["the", "prime", "minister", "saw", "New", "York"], wordnet) == (
        Mention(1, 3, number("prime minister", wordnet), False),
        Mention(4, 6, number("New York", wordnet), True),
    )


def test_words_that_are_verbs_more_often_are_left_out(wordnet: WordNet) -> None:
    assert found("birds walk past the chair", wordnet) == [("birds", "bird"), ("chair", "chair")]


def test_case_distinguishes_a_name_from_a_common_noun(wordnet: WordNet) -> None:
    assert found("he broke china in China with a chair", wordnet) == [
        ("china", "china"),
        ("China", "China"),
        ("chair", "chair"),
    ]
    assert found("he met Mr Chair there", wordnet) == []


def test_a_name_inside_a_longer_name_is_left_out(wordnet: WordNet) -> None:
    assert found("the New York Herald and the Paris Review", wordnet) == []
    assert found("the University of Paris", wordnet) == []


def test_a_known_given_name_makes_an_unknown_person(wordnet: WordNet) -> None:
    assert found("then Marie Dubois met Marie Curie and Curie", wordnet) == [
        ("Marie Dubois", "person"),
        ("Marie Curie", "Curie"),
        ("Curie", "person"),
    ]


def test_a_form_with_two_unrelated_untagged_senses_is_left_out(wordnet: WordNet) -> None:
    assert found("he made a mixture", wordnet) == []


BATCH = [
    line.split()
    for line in (
        "the robin sat on a chair in Paris",
        "two geese left the city for New York",
        "a scientist and a prime minister saw the bird",
        "they walk and see nothing at all here",
    )
]


def drawn(wordnet: WordNet, seeds: range) -> Iterator[tuple[set[str], set[str]]]:
    for seed in seeds:
        sentences, names = label_sentences(BATCH, wordnet, random.Random(seed))
        assert len(set(names)) == len(names)
        yield {span.label for sentence in sentences for span in sentence.spans}, set(names)


def test_spans_have_only_requested_names_and_never_overlap(wordnet: WordNet) -> None:
    for seed in range(50):
        sentences, names = label_sentences(BATCH, wordnet, random.Random(seed))
        for sentence in sentences:
            assert {span.label for span in sentence.spans} <= set(names)
            ends = [0] + [span.end for span in sentence.spans]
            assert all(end <= span.start for end, span in zip(ends, sentence.spans, strict=False))
            assert list(sentence.words) in BATCH


def test_labels_are_hypernyms_of_varying_depth_and_never_vague(wordnet: WordNet) -> None:
    used = set().union(*(labels for labels, _ in drawn(wordnet, range(200))))
    assert {"bird", "person", "animal", "location", "artifact"} <= used
    assert not {"entity", "organism", "being"} & used, "vague, and covering most of the mentions"


def test_a_mention_takes_the_deepest_chosen_synset(wordnet: WordNet) -> None:
    batch = [["the", "robin", "saw", "a", "fox", "near", "the", "chair"]]
    both = 0
    for seed in range(400):
        sentences, names = label_sentences(batch, wordnet, random.Random(seed))
        labels = {sentence.words[span.start]: span.label for sentence in sentences for span in sentence.spans}
        if "bird" in names and {"animal", "beast"} & set(names):
            both += 1
            assert labels["robin"] == "bird"
            assert labels["fox"] in {"animal", "beast"}
    assert both > 0, "no draw put bird beside a more general label: the test shows nothing"


def test_the_same_seed_draws_the_same_labels(wordnet: WordNet) -> None:
    first, again = (label_sentences(BATCH, wordnet, random.Random(5)) for _ in range(2))
    assert first == again
    assert first[1]


def test_a_batch_without_nouns_gives_nothing(wordnet: WordNet) -> None:
    assert label_sentences([BATCH[3]], wordnet, random.Random(0)) == ((), ())


def test_a_damaged_database_is_refused_with_its_line(folder: Path) -> None:
    with (folder / "data.noun").open("a") as lines:
        lines.write("00000099 05 n 0x broken 0 000 | gloss\n")
    with pytest.raises(InputError, match=r"found line '00000099 05 n 0x broken.*expected a WordNet 3\.x database"):
        load(folder)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("data.noun", "00000099 05 n 01\n"),
        ("data.noun", "00000099 05 n 02 broken 0\n"),
        ("data.noun", "no offset\n"),
        ("index.noun", "bird n x\n"),
        ("index.verb", "jump v 1\n"),
        ("index.noun", "ghost n 1 0 1 0 00009999\n"),
        ("cntlist.rev", "bird%1:05:00:: 1\n"),
        ("cntlist.rev", "bird%7:05:00:: 1 3\n"),
    ],
)
def test_any_damage_is_refused_with_the_name_of_the_folder(file: str, text: str, folder: Path) -> None:
    with (folder / file).open("a") as lines:
        lines.write(text)
    with pytest.raises(InputError, match=f"^{re.escape(str(folder))}: found .*expected a WordNet 3"):
        load(folder)


def test_a_hypernym_that_is_not_listed_is_refused(folder: Path) -> None:
    file = folder / "data.noun"
    robin = next(line for line in file.read_text().splitlines() if " robin " in line)
    bird = robin.split()[-6]
    file.write_text(file.read_text().replace(robin, robin.replace(bird, "00000777")))
    with pytest.raises(InputError, match="found No WordNet synset found for pos=n at offset=777"):
        load(folder)


def test_hypernyms_in_a_circle_are_refused(folder: Path) -> None:
    file = folder / "data.noun"
    bird, robin = (
        next(line for line in file.read_text().splitlines() if f" {name} " in line) for name in ("bird", "robin")
    )
    file.write_text(file.read_text().replace(bird, bird.replace(bird.split()[-6], robin[:8])))
    with pytest.raises(InputError, match=r"cycle.*expected a WordNet"):
        load(folder)


@pytest.mark.parametrize("file", ["data.noun", "index.verb", "verb.exc", "cntlist.rev"])
def test_a_missing_file_is_refused(file: str, folder: Path) -> None:
    (folder / file).unlink()
    with pytest.raises(InputError, match=rf"found .*{re.escape(file)}.*expected a WordNet"):
        load(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: found .*expected a WordNet"):
        load(tmp_path / "nowhere")


def test_without_nltk_the_extra_that_brings_it_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("lightner.pretraining._nltk_wordnet")
    monkeypatch.setitem(sys.modules, "lightner.pretraining._nltk_wordnet", None)
    with pytest.raises(InputError, match=r"expected nltk \(pip install 'lightner-ray\[pretrain\]'\)"):
        load(folder)


def test_nltk_reads_elsewhere_only_while_a_database_is_loaded(folder: Path) -> None:
    load(folder)
    assert str(folder) not in nltk.data.path


def test_the_installed_wordnet_reads_real_sentences(installed: WordNet) -> None:
    text = "In 1902 the physicists left Paris for the United States with a violin ."
    words = text.split()
    above = {
        " ".join(words[each.start : each.end]): {
            installed.synsets[ancestor].lemmas[0] for ancestor in installed.ancestors[each.synset_id]
        }
        for each in annotate(words, installed)
    }
    assert "scientist" in above["physicists"]
    assert "location" in above["Paris"]
    assert "country" in above["United States"]
    assert "musical instrument" in above["violin"]
    assert "left" not in above


def test_counts_and_depths_of_the_installed_wordnet_are_nltks(installed: WordNet) -> None:
    with _nltk_wordnet.reading(INSTALLED) as reader:
        for name in ("bank.n.01", "air.n.01", "web.n.04", "paris.n.01", "dog.n.01", "new_york.n.01"):
            synset = reader.synset(name)
            assert installed.depth[synset.offset()] == synset.max_depth()
            above = {each.offset() for path in synset.hypernym_paths() for each in path}
            assert set(installed.ancestors[synset.offset()]) == above
            for lemma in synset.lemmas():
                senses = {sense.synset: sense.count for sense in installed.senses[lemma.name().replace("_", " ")]}
                assert senses[synset.offset()] == lemma.count()
