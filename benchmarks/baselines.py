"""Baselines for prompt tuning, on the same backbone: what a user would do instead.

    python -m benchmarks.baselines NAME=TRAIN:TEST [NAME=TRAIN:TEST ...] --seeds 3 --out FILE.json

`fine_tuning` learns all weights, `token_classifier` those of the encoder with a linear layer of tags, `lora` low-rank
updates of queries and values, `prefix` prefixes in all attention layers beside the label words' slots (both by HF PEFT,
`pip install peft`). All learn for as many steps and with batches as large as the rules give a prompt. The rate is
chosen by F1 pooled over the folds of `benchmarks/few_shot.py`; then all training sentences are learned. Test files are
only scored. Sets, methods and seeds that FILE has are not measured again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import report
from lightner.data.formats import labels_of
from lightner.evaluation.metrics import score
from lightner.evaluation.scoring import evaluate
from lightner.model import backbone, batching
from lightner.model.backbone import Backbone, step_precision
from lightner.model.prompts import NO_GUIDANCE, Guidance, concatenate
from lightner.model.starts import untuned_prompt
from lightner.pretraining.objective import read as read_batch
from lightner.tuning import rules
from lightner.tuning.cross_validation import folds_of
from lightner.types import LabelSet, Scores, Sentence, Span

Sentences: TypeAlias = Sequence[Sentence]
Scorer: TypeAlias = Callable[[Sentences], Scores]
Learner: TypeAlias = Callable[[Backbone, LabelSet, Sentences, rules.Plan], Scorer]
"""Learns sentences by a plan, of which rate, steps, batches, decay and dropout count; gives what scores others."""
RATES = {
    "fine_tuning": (1e-4, 3e-4),
    "token_classifier": (1e-4, 3e-4),
    "lora": (1e-3, 3e-3),
    "prefix": (1e-2, 3e-2),
}
_CLIP = 1.0
_OUTSIDE = 0
_RANK, _PREFIX = 8, 16
_EVALUATED_AT_ONCE = 32


def main() -> None:
    """Measure every data set with both methods and write one JSON file."""
    parser = report.parser(__doc__, must_write=True)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:TEST")
    parser.add_argument("--methods", nargs="+", choices=sorted(RATES), default=sorted(RATES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone")
    options = parser.parse_args()
    runs = report.Runs(options.out, backbone.load(options.backbone))
    for name, (train, test) in report.labelled_sets(options.sets):
        for method in options.methods:
            for seed in range(options.seeds):
                run = partial(choose_and_learn, options.backbone, LEARNERS[method], RATES[method], train, test, seed)
                runs.add(run, name=name, method=method, seed=seed)


def choose_and_learn(
    name: str | None, learner: Learner, rates: Sequence[float], train: Sentences, test: Sentences, seed: int
) -> dict[str, Any]:
    """The rate with the highest cross-validated F1, then test scores of learning everything at that rate."""
    began = time.monotonic()
    labels = LabelSet.of(labels_of(train))
    folds = folds_of(train, (), seed=seed)

    def scores(rate: float, learned: Sentences, held: Sentences) -> Scores:
        plan = rules.plan(learned, prompt_length=0, learning_rate=rate, seed=seed)
        return learner(backbone.load(name), labels, learned, plan)(held)

    def pooled(rate: float) -> float:
        return sum((scores(rate, fold.train, fold.held) for fold in folds), Scores()).micro.f1

    found = {rate: pooled(rate) for rate in rates}
    rate = max(found, key=lambda each: (found[each], -each))
    test_f1 = scores(rate, train, test).micro.f1
    seconds = time.monotonic() - began
    return {"rate": rate, "cross_validated_f1": found[rate], "test_f1": test_f1, "seconds": seconds}


def fine_tune(base: Backbone, labels: LabelSet, train: Sentences, plan: rules.Plan) -> Scorer:
    """The whole model, trained with its label words as a prompt of one slot each."""
    torch.manual_seed(plan.seed)
    base.model.requires_grad_(True).train()
    base.embedding.requires_grad_(False)

    def loss(batch: Sentences) -> Tensor:
        return read_batch(base, batch, labels, NO_GUIDANCE).pointer_loss

    _learn([p for p in base.model.parameters() if p.requires_grad], loss, train, plan)
    base.model.eval().requires_grad_(False)
    return partial(evaluate, base, untuned_prompt(base, labels))


def adapt(base: Backbone, labels: LabelSet, train: Sentences, plan: rules.Plan) -> Scorer:
    """The model with low-rank updates of its attention, trained as the whole model is."""
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    torch.manual_seed(plan.seed)
    config = LoraConfig(r=_RANK, lora_alpha=2 * _RANK, lora_dropout=0.1, target_modules=["q_proj", "v_proj"])
    inject_adapter_in_model(config, base.model)
    base.model.train()

    def loss(batch: Sentences) -> Tensor:
        return read_batch(base, batch, labels, NO_GUIDANCE).pointer_loss

    _learn([p for p in base.model.parameters() if p.requires_grad], loss, train, plan)
    base.model.eval().requires_grad_(False)
    for module in base.model.modules():
        if isinstance(module, LoraLayer):
            module.merge()
    return partial(evaluate, base, untuned_prompt(base, labels))


def prefix_tune(base: Backbone, labels: LabelSet, train: Sentences, plan: rules.Plan) -> Scorer:
    """The frozen model with learned prefixes, which begin at random, in all of its attention layers."""
    from peft import PrefixTuningConfig
    from peft.tuners.prefix_tuning import PrefixEncoder

    torch.manual_seed(plan.seed)
    layers = sum(base.shape.site_layers.values())
    config = PrefixTuningConfig(
        num_virtual_tokens=_PREFIX, token_dim=base.shape.width, num_layers=layers, encoder_hidden_size=base.shape.width
    )
    encoder = PrefixEncoder(config)

    def loss(batch: Sentences) -> Tensor:
        return read_batch(base, batch, labels, _prefixes(base, encoder)).pointer_loss

    with base.dropping(plan.dropout):
        _learn(list(encoder.parameters()), loss, train, plan)
    plain = untuned_prompt(base, labels)
    with torch.no_grad():
        prefixes = _prefixes(base, encoder)
    return partial(evaluate, base, replace(plain, guidance=concatenate(plain.guidance, prefixes)))


def _prefixes(base: Backbone, encoder: nn.Module) -> Guidance:
    """PEFT's prefixes [1, P, layers * 2 * D] as keys and values of each site: [L, 1, H, P, D/H]."""
    flat = encoder(torch.arange(_PREFIX)[None])[0]
    layers = flat.view(_PREFIX, -1, 2, base.shape.width).permute(1, 2, 0, 3)
    key, value, begin = {}, {}, 0
    for site, count in base.shape.site_layers.items():
        own = layers[begin : begin + count]
        headed = own.view(count, 2, _PREFIX, base.shape.heads[site], -1).transpose(2, 3)
        key[site], value[site] = headed[:, :1], headed[:, 1:]
        begin += count
    return Guidance(key, value)


def classify_tokens(base: Backbone, labels: LabelSet, train: Sentences, plan: rules.Plan) -> Scorer:
    """A linear classifier of IOB2 tags on each word's first sub-word, trained with the encoder."""
    torch.manual_seed(plan.seed)
    encoder = base.model.get_encoder()
    head = nn.Linear(base.shape.width, 1 + 2 * len(labels))
    encoder.requires_grad_(True).train()
    base.embedding.requires_grad_(False)

    def logits(batch: Sentences) -> tuple[Tensor, Tensor]:
        examples = batching.encode(base.tokenizer, [sentence.words for sentence in batch])
        packed = batching.collate(examples, pad=base.tokenizer.pad_token_id)
        hidden = encoder(input_ids=packed.input_ids, attention_mask=packed.attention_mask).last_hidden_state
        at = packed.word_first[..., None].expand(-1, -1, hidden.shape[-1])
        return head(hidden.gather(1, at)), packed.word_count

    def loss(batch: Sentences) -> Tensor:
        scores, _ = logits(batch)
        tags = [torch.tensor(tags_of(sentence, labels)) for sentence in batch]
        wanted = nn.utils.rnn.pad_sequence(tags, batch_first=True, padding_value=-100)
        return F.cross_entropy(scores.flatten(0, 1), wanted.flatten())

    parameters = [p for p in encoder.parameters() if p.requires_grad]
    _learn([*parameters, *head.parameters()], loss, train, plan)
    encoder.eval()

    def scores_of(test: Sentences) -> Scores:
        predicted: list[list[Span]] = []
        for start in range(0, len(test), _EVALUATED_AT_ONCE):
            with torch.no_grad():
                scores, counts = logits(test[start : start + _EVALUATED_AT_ONCE])
            rows = zip(scores.argmax(-1).tolist(), counts.tolist(), strict=True)
            predicted += [spans_of(row[:count], labels) for row, count in rows]
        return score([sentence.spans for sentence in test], predicted, labels.names)

    return scores_of


LEARNERS: dict[str, Learner] = {
    "fine_tuning": fine_tune,
    "token_classifier": classify_tokens,
    "lora": adapt,
    "prefix": prefix_tune,
}


def _learn(
    parameters: Sequence[nn.Parameter],
    loss: Callable[[Sentences], Tensor],
    train: Sentences,
    plan: rules.Plan,
) -> None:
    precision = step_precision(torch.device("cpu"), bf16=plan.bf16)
    optimizer = torch.optim.AdamW(parameters, lr=plan.learning_rate, weight_decay=plan.weight_decay)
    for step, batch in zip(range(1, plan.steps + 1), _endless(train, plan.batch_size, plan.seed), strict=False):
        optimizer.param_groups[0]["lr"] = plan.learning_rate * rules.rate_share(plan, step)
        optimizer.zero_grad(set_to_none=True)
        with precision:
            found = loss(batch)
        torch.autograd.backward(found)
        nn.utils.clip_grad_norm_(parameters, _CLIP)
        optimizer.step()


def _endless(train: Sentences, size: int, seed: int) -> Iterator[Sentences]:
    rng, order = random.Random(seed), list(train)
    while True:
        rng.shuffle(order)
        for start in range(0, len(order) - min(size, len(order)) + 1, size):
            yield order[start : start + size]


def tags_of(sentence: Sentence, labels: LabelSet) -> list[int]:
    """Tags as numbers: 0 is outside; label k begins with 1 + 2k and continues with 2 + 2k."""
    tags = [_OUTSIDE] * len(sentence.words)
    for span in sentence.spans:
        begin = 1 + 2 * labels.names.index(span.label)
        tags[span.start : span.end] = [begin, *[begin + 1] * (span.end - span.start - 1)]
    return tags


def spans_of(tags: Sequence[int], labels: LabelSet) -> list[Span]:
    """Spans of predicted tags as seqeval reads them: an inside tag after another type, or after none, begins one."""
    spans: list[Span] = []
    for place, tag in enumerate(tags):
        if tag == _OUTSIDE:
            continue
        label, goes_on = labels.names[(tag - 1) // 2], tag % 2 == 0
        if goes_on and spans and spans[-1].end == place and spans[-1].label == label:
            spans[-1] = Span(spans[-1].start, place + 1, label)
        else:
            spans.append(Span(place, place + 1, label))
    return spans


if __name__ == "__main__":
    main()
