"""WordNet's files, mentions and label sets: on a hand-made WordNet, and on the real one where it is installed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightner.pretraining.wordnet import Mention, WordNet, annotate, label_sentences, load
from lightner.types import InputError

INSTALLED = Path("/usr/share/wordnet")

# id, lexicographer file, lemmas, hypernyms, instance hypernyms
SYNSETS = (
    (1, 3, "entity", (), ()),
    (2, 3, "organism being", (1,), ()),
    (3, 3, "person individual", (2,), ()),
    (4, 5, "animal beast", (2,), ()),
    (5, 5, "bird", (4,), ()),
    (6, 5, "robin", (5,), ()),
    (7, 15, "location", (1,), ()),
    (8, 15, "city metropolis", (7,), ()),
    (9, 15, "Paris City_of_Light", (), (8,)),
    (10, 18, "scientist", (3,), ()),
    (11, 18, "Curie Marie_Curie", (), (10,)),
    (12, 15, "New_York", (), (8,)),
    (13, 18, "prime_minister", (3,), ()),
    (14, 4, "walk", (1,), ()),
    (15, 5, "goose", (5,), ()),
    (16, 6, "artifact", (1,), ()),
    (17, 6, "chair", (16,), ()),
    (18, 10, "mixture", (1,), ()),
    (19, 6, "mixture", (16,), ()),
    (20, 6, "china", (16,), ()),
    (21, 15, "China", (), (7,)),
    (22, 5, "fox", (4,), ()),
)
VERBS = ("walk", "see", "build")
TAGS = (
    ("bird%1:05:00::", 1, 9), ("city%1:15:00::", 1, 20), ("chair%1:06:00::", 1, 5), ("walk%1:04:00::", 1, 4),
    ("walk%2:38:00::", 1, 40), ("robin%1:05:00::", 1, 2), ("goose%1:05:00::", 1, 3),
)  # fmt: skip


def write_database(folder: Path) -> Path:
    """The files of a WordNet of `SYNSETS`."""
    folder.mkdir(exist_ok=True)
    licence = "  1 This software and database is provided as is\n"
    index: dict[str, list[int]] = {}
    lines = []
    for number, file, lemmas, above, instance_of in SYNSETS:
        names = lemmas.split()
        pointers = [f"@ {target:08d} n 0000" for target in above] + [
            f"@i {target:08d} n 0000" for target in instance_of
        ]
        words = " ".join(f"{name} 0" for name in names)
        lines.append(
            " ".join([f"{number:08d} {file:02d} n {len(names):02x} {words} {len(pointers):03d}", *pointers, "| gloss"])
        )
        for name in names:
            index.setdefault(name.lower(), []).append(number)
    (folder / "data.noun").write_text(licence + "\n".join(lines) + "\n", encoding="latin-1")
    (folder / "index.noun").write_text(
        licence
        + "".join(
            f"{name} n {len(those)} 1 @ {len(those)} 0 {' '.join(f'{number:08d}' for number in those)}  \n"
            for name, those in sorted(index.items())
        )
    )
    (folder / "index.verb").write_text("".join(f"{verb} v 1 0 1 0 00000001  \n" for verb in VERBS))
    (folder / "index.adj").write_text("parisian a 1 0 1 0 00000001  \n")
    (folder / "index.adv").write_text("")
    (folder / "cntlist.rev").write_text("".join(f"{key} {rank} {count}\n" for key, rank, count in TAGS))
    (folder / "noun.exc").write_text("geese goose\n")
    (folder / "verb.exc").write_text("saw see\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_database(tmp_path)


@pytest.fixture
def wordnet(folder: Path) -> WordNet:
    return load(folder)


def found(text: str, wordnet: WordNet) -> list[tuple[str, int]]:
    words = text.split()
    return [(" ".join(words[m.start : m.end]), m.synset_id) for m in annotate(words, wordnet)]


def test_hypernym_path_climbs_instances_and_kinds(wordnet: WordNet) -> None:
    assert [synset.lemmas[0] for synset in wordnet.hypernym_path(9)] == ["Paris", "city", "location", "entity"]
    assert wordnet.synsets[9].is_instance
    assert not wordnet.synsets[8].is_instance
    assert wordnet.synsets[9].lemmas == ("Paris", "City of Light")
    assert wordnet.synsets[8].lexicographer == 15


def test_senses_keep_order_case_and_counts(wordnet: WordNet) -> None:
    assert [sense.synset for sense in wordnet.senses["mixture"]] == [18, 19]
    assert [sense.count for sense in wordnet.senses["city"]] == [20]
    assert [sense.synset for sense in wordnet.senses["china"]] == [20]
    assert [sense.synset for sense in wordnet.senses["China"]] == [21]


def test_a_hyponym_is_deeper_than_its_hypernym(wordnet: WordNet) -> None:
    assert wordnet.depth[1] == 0
    assert wordnet.depth[6] == 4
    assert set(wordnet.ancestors[6]) == {6, 5, 4, 2, 1}


@pytest.mark.parametrize(("form", "base"), [("cities", "city"), ("geese", "goose"), ("birds", "bird")])
def test_plurals_lead_to_singulars(form: str, base: str, wordnet: WordNet) -> None:
    assert wordnet.noun_bases(form) == (base,)


def test_inflected_verbs_lead_to_infinitives(wordnet: WordNet) -> None:
    assert [wordnet.verb_bases(form) for form in ("saw", "walked", "building")] == [("see",), ("walk",), ("build",)]


def test_common_nouns_and_names_are_found(wordnet: WordNet) -> None:
    assert found("they fed two geese and a robin in Paris .", wordnet) == [("geese", 15), ("robin", 6), ("Paris", 9)]


def test_the_longest_lemma_wins(wordnet: WordNet) -> None:
    assert annotate(["the", "prime", "minister", "saw", "New", "York"], wordnet) == (
        Mention(1, 3, 13, False),
        Mention(4, 6, 12, True),
    )


def test_words_that_are_verbs_more_often_are_left_out(wordnet: WordNet) -> None:
    assert found("birds walk past the chair", wordnet) == [("birds", 5), ("chair", 17)]


def test_case_tells_a_name_from_a_common_noun(wordnet: WordNet) -> None:
    assert found("he broke china in China with a chair", wordnet) == [("china", 20), ("China", 21), ("chair", 17)]
    assert found("he met Mr Chair there", wordnet) == []


def test_a_name_inside_a_longer_name_is_left_out(wordnet: WordNet) -> None:
    assert found("the New York Herald and the Paris Review", wordnet) == []
    assert found("the University of Paris", wordnet) == []


def test_a_known_given_name_makes_an_unknown_person(wordnet: WordNet) -> None:
    assert found("then Marie Dubois met Marie Curie and Curie", wordnet) == [
        ("Marie Dubois", 3),
        ("Marie Curie", 11),
        ("Curie", 3),
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


def test_spans_carry_only_the_names_asked_for_and_never_overlap(wordnet: WordNet) -> None:
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


def test_a_damaged_database_is_refused_by_line(folder: Path) -> None:
    with (folder / "data.noun").open("a") as lines:
        lines.write("00000099 05 n 02 broken 0\n")
    with pytest.raises(InputError, match=r"data\.noun:24: .*expected a noun synset"):
        load(folder)


def test_a_hypernym_that_is_not_listed_is_refused(folder: Path) -> None:
    with (folder / "data.noun").open("a") as lines:
        lines.write("00000099 05 n 01 orphan 0 001 @ 00000777 n 0000 | gloss\n")
    with pytest.raises(InputError, match="found synset 777 as a hypernym"):
        load(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.noun: .*expected a WordNet"):
        load(tmp_path / "nowhere")


@pytest.mark.skipif(not INSTALLED.is_dir(), reason="Debian's wordnet-base is not installed in /usr/share/wordnet")
def test_the_installed_wordnet_reads_real_sentences() -> None:
    wordnet = load(INSTALLED)
    text = "In 1902 the physicists left Paris for the United States with a violin ."
    words = text.split()
    above = {
        " ".join(words[m.start : m.end]): {synset.lemmas[0] for synset in wordnet.hypernym_path(m.synset_id)}
        for m in annotate(words, wordnet)
    }
    assert "scientist" in above["physicists"]
    assert "location" in above["Paris"]
    assert "country" in above["United States"]
    assert "musical instrument" in above["violin"]
    assert "left" not in above
