"""One library in a process of its own: reads jobs from standard input, tags, and answers with time and memory.

    python benchmarks/peers_worker.py LIBRARY FOLDER

`benchmarks/peers.py` starts it, each library in the environment that it is installed in; so it imports only the library
that it runs. A job and its answer are a line of JSON each. A model is made once, with random weights, in FOLDER, and
loaded from there, as a user loads a model.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

Tag: TypeAlias = Callable[[list[str]], int]
"""Tags texts and returns how many entities it found."""
Names: TypeAlias = Sequence[str]
SHAPE = {"num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
"""Of the embedded backbone's encoder."""
VOCABULARY = 30522
THRESHOLD = 0.9
BATCH_SIZE = 32
_NEVER = 1e4
"""Added to the score of the tag outside, so that the token classifier finds nothing."""


class Library(NamedTuple):
    """The package of a library, what opens its model in a folder, and what makes it there, if the worker does."""

    package: str
    open: Callable[[Path, Names], Tag]
    make: Callable[[Path, Names, str], None] | None = None


def main() -> None:
    """Answer jobs until standard input ends; all have the same labels."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer
    library = {
        "ours": Library("lightner-ray", ours),
        "gliner": Library("gliner", gliner, make_gliner),
        "gliner_bi": Library("gliner", gliner_bi, make_gliner_bi),
        "token_classifier": Library("transformers", token_classifier, make_token_classifier),
        "spacy": Library("spacy", spacy, make_spacy),
    }[name]
    tag: Tag | None = None
    for line in sys.stdin:
        job = json.loads(line)
        if "make" in job:
            if library.make and not folder.exists():
                library.make(folder, job["labels"], job["make"])
            answers.write(json.dumps({"version": version(library.package)}) + "\n")
            continue
        tag = tag or library.open(folder, job["labels"])
        answers.write(json.dumps(measured(tag, job, threaded=name != "spacy")) + "\n")


def measured(tag: Tag, job: Mapping[str, Any], *, threaded: bool) -> dict[str, float]:
    """Time by the clock and of the processor, the most memory meanwhile, and the number of entities found."""
    if threaded:
        importlib.import_module("torch").set_num_threads(job["threads"])
    forget_peak()
    clock_s, processor_s = time.perf_counter(), time.process_time()
    found = sum(tag(texts) for texts in job["calls"])
    spent = {"clock_s": time.perf_counter() - clock_s, "processor_s": time.process_time() - processor_s}
    return {**spent, "peak_bytes": peak_bytes(), "entities": found}


def forget_peak() -> None:
    """Let the kernel count this process's peak memory anew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_bytes() -> int:
    """The most memory that the process held since `forget_peak`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def ours(folder: Path, names: Names) -> Tag:
    """The embedded backbone with a tuned prompt."""
    tagger = importlib.import_module("lightner").load(folder)
    return lambda texts: sum(map(len, tagger.tag(texts)))


def make_gliner(folder: Path, names: Names, tokenizer: str) -> None:
    """A GLiNER in its default form, which reads labels with each text."""
    _save_gliner(folder, {"model_name": _encoder_for_gliner(folder, tokenizer)})


def make_gliner_bi(folder: Path, names: Names, tokenizer: str) -> None:
    """A GLiNER of the form that reads labels by an encoder of their own."""
    encoder = _encoder_for_gliner(folder, tokenizer)
    _save_gliner(folder, {"model_name": encoder, "labels_encoder": encoder})


def _encoder_for_gliner(folder: Path, tokenizer: str) -> str:
    """A BERT of our encoder's shape, with room for 150 labels and 200 words."""
    transformers = importlib.import_module("transformers")
    encoder = transformers.BertConfig(vocab_size=VOCABULARY, max_position_embeddings=2048, **SHAPE)
    encoder.save_pretrained(folder / "encoder")
    return _with_tokenizer(folder / "encoder", tokenizer)


def _save_gliner(folder: Path, config: Mapping[str, Any]) -> None:
    importlib.import_module("torch").manual_seed(0)
    made = importlib.import_module("gliner").GLiNER.from_config
    made({**config, "max_types": 1000}, backbone_from_pretrained=False).save_pretrained(folder)


def gliner(folder: Path, names: Names) -> Tag:
    """GLiNER's own call, with a threshold that nothing passes."""
    model = importlib.import_module("gliner").GLiNER.from_pretrained(str(folder), local_files_only=True)
    labels = list(names)
    return lambda texts: sum(map(len, model.inference(texts, labels, threshold=THRESHOLD, batch_size=BATCH_SIZE)))


def gliner_bi(folder: Path, names: Names) -> Tag:
    """The same with labels that were read before."""
    model = importlib.import_module("gliner").GLiNER.from_pretrained(str(folder), local_files_only=True)
    labels = list(names)
    tag, read = model.batch_predict_with_embeds, model.encode_labels(labels)
    return lambda texts: sum(map(len, tag(texts, read, labels, threshold=THRESHOLD, batch_size=BATCH_SIZE)))


def make_token_classifier(folder: Path, names: Names, tokenizer: str) -> None:
    """A BERT of our encoder's shape with a head of IOB2 tags that says outside at every word."""
    transformers = importlib.import_module("transformers")
    tags = ["O", *(f"{part}-{name}" for name in names for part in "BI")]
    config = transformers.BertConfig(
        vocab_size=VOCABULARY, id2label=dict(enumerate(tags)), label2id={tag: n for n, tag in enumerate(tags)}, **SHAPE
    )
    importlib.import_module("torch").manual_seed(0)
    model = transformers.BertForTokenClassification(config)
    model.classifier.bias.data[0] = _NEVER
    model.save_pretrained(folder)
    _with_tokenizer(folder, tokenizer)


def token_classifier(folder: Path, names: Names) -> Tag:
    """The pipeline of transformers."""
    made = importlib.import_module("transformers").pipeline
    pipe = made("token-classification", model=str(folder), aggregation_strategy="simple", device="cpu")
    return lambda texts: sum(map(len, pipe(texts, batch_size=BATCH_SIZE)))


def make_spacy(folder: Path, names: Names, tokenizer: str) -> None:
    """spaCy's default entity recogniser, which has the shape of the one of `en_core_web_sm`, freshly initialised."""
    library = importlib.import_module("spacy")
    example = importlib.import_module("spacy.training").Example
    library.util.fix_random_seed(0)
    nlp = library.blank("en")
    recogniser = nlp.add_pipe("ner")
    for name in names:
        recogniser.add_label(name)
    nlp.initialize(lambda: [example.from_dict(nlp.make_doc("a b"), {"entities": [(0, 1, name)]}) for name in names])
    nlp.to_disk(folder)


def spacy(folder: Path, names: Names) -> Tag:
    """spaCy's pipe."""
    nlp = importlib.import_module("spacy").load(folder)
    return lambda texts: sum(len(document.ents) for document in nlp.pipe(texts, batch_size=BATCH_SIZE))


def _with_tokenizer(folder: Path, tokenizer: str) -> str:
    """The folder, with the files of our backbone's tokenizer in it."""
    for file in Path(tokenizer).glob("tokenizer*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    return str(folder)


if __name__ == "__main__":
    main()
