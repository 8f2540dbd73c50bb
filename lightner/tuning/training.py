"""Prompt tuning: a plain loop over a frozen backbone; only the prompt and the label weights learn.

Knows no Ray: the caller passes how to wrap the module for several workers and what to do after each round.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lightner.evaluation.calibration import Guess
from lightner.evaluation.scoring import evaluate_guesses, pooled
from lightner.model.backbone import Backbone, step_precision, steps_in_bf16
from lightner.model.batching import Example, collate
from lightner.model.batching import encode as encode_words
from lightner.model.forward import IGNORE, decode, encode, legal_mask, log_probabilities, shift, stack_labels
from lightner.model.pointers import FLAT, NESTED, Grammar, Space, encode_spans
from lightner.model.prompts import Guidance, Prompt, PromptEncoder
from lightner.model.starts import read_labels, start_guidance, transferred_residual, transferred_start
from lightner.model.verbalizer import Verbalizer
from lightner.tuning import rules
from lightner.tuning.checkpoints import load_state, save_state
from lightner.tuning.rules import Plan, rate_share, round_end
from lightner.types import InputError, LabelSet, Reach, Scores, Sentence, Span, is_nested
from lightner.words import as_read, placed_words, sentence_ranges

PROMPT = "prompt.safetensors"
_ANSWER_SPACE = "verbalizer."
_CLIP = 1.0


@dataclass(frozen=True)
class Round:
    """Progress after one round: mean loss per step since the last, and scores on the development sentences.

    `sentences` has the scores of each development sentence, `guesses` all entities that were predicted there,
    `found` those of each sentence.
    """

    epoch: int
    step: int
    loss: float
    scores: Scores | None
    sentences: tuple[Scores, ...] = ()
    guesses: tuple[Guess, ...] = ()
    found: tuple[tuple[Span, ...], ...] = ()


@dataclass(frozen=True)
class Worker:
    """This process's place among data-parallel workers, and how it wraps a module for them."""

    rank: int = 0
    count: int = 1
    wrap: Callable[[nn.Module], nn.Module] = lambda module: module


Saver = Callable[[Path], None]
"""Writes a resumable state and the folded prompt (`PROMPT`) into a folder."""


class PromptModel(nn.Module):
    """What learns, and the loss it learns from. The frozen backbone is a value here, not a submodule.

    It starts from the `source` prompt of another domain where one is given; the plan must have its lengths.
    """

    def __init__(
        self,
        backbone: Backbone,
        labels: LabelSet,
        plan: Plan,
        source: Prompt | None = None,
        *,
        reach: Reach = Reach(),  # noqa: B008 a frozen value
        nested: bool = False,
    ) -> None:
        super().__init__()
        torch.manual_seed(plan.seed)
        self.backbone = steps_in_bf16(backbone, bf16=plan.bf16)
        self.labels, self.reach, self.grammar = labels, reach, Grammar(nested)
        states = read_labels(backbone, labels)
        self.verbalizer = Verbalizer(states.pieces, states.mask)
        if source is None:
            start = start_guidance(backbone, states, length=plan.prompt_length)
        else:
            start = transferred_start(backbone, states, labels=labels, source=source)
            self.verbalizer.residual.data.copy_(transferred_residual(states, labels=labels, source=source))
        self.prompt = PromptEncoder(
            backbone.shape,
            length=start.length,
            slots=plan.feed_forward_slots,
            width=plan.reparametrisation_width,
            start=start,
        ).to(backbone.device)

    def forward(self, sentences: Sequence[Sentence], examples: Sequence[Example]) -> Tensor:
        """Summed cross-entropy of the sentences' targets over what the grammar allows."""
        backbone = self.backbone
        guidance, vectors = self.prompt(), self.verbalizer()
        order = sorted(range(len(examples)), key=lambda row: len(examples[row].pieces))  # as the encoder reads them
        sentences, examples = [sentences[row] for row in order], [examples[row] for row in order]
        batch = collate(examples, pad=backbone.tokenizer.pad_token_id, device=backbone.device)
        encoded = encode(backbone, batch, guidance, stack_labels([vectors], [0] * batch.size))
        targets = target_ids(sentences, self.labels, encoded.space, self.grammar).to(backbone.device)
        scores = decode(backbone, encoded, guidance, shift(targets))
        log_p = log_probabilities(scores, legal_mask(targets, encoded.real, encoded.space, self.grammar))
        return F.nll_loss(log_p.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum")

    def fold(self) -> Prompt:
        """The learned prompt as plain tensors."""
        with torch.no_grad():
            vectors = self.verbalizer()
        return Prompt(self.labels, self.prompt.fold(), vectors, reach=self.reach, nested=self.grammar.nested)


def learned_reach(sentences: Sequence[Sentence]) -> Reach:
    """How much text at once a prompt reads that learns from these sentences, in words as they are read."""
    counts = [len(sentence_ranges(*placed_words(sentence))) for sentence in sentences]
    return rules.reach([len(sentence.words) for sentence in sentences], counts)


def target_ids(sentences: Sequence[Sentence], labels: LabelSet, space: Space, grammar: Grammar = FLAT) -> Tensor:
    """Target ids [B, T] of the sentences' spans, padded with `IGNORE`."""
    written = [encode_spans(sentence.spans, labels.names, space, grammar=grammar) for sentence in sentences]
    rows = [torch.tensor(ids) for ids in written]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=IGNORE)


class Tuning:
    """One run under way: made ready (from `resume` on where a state is given), then advanced round by round.

    The same seed gives the same batches whatever the number of workers; each takes its share of every batch. What
    runs between two rounds changes nothing, so several runs may take turns. Entities may lie within one another if they
    do in these sentences.

    Raises:
        InputError: there is nothing to learn from, or a sentence that cannot be learned: longer than the backbone
            reads, entities that cross, or labels that are not in `labels`.
    """

    def __init__(
        self,
        backbone: Backbone,
        labels: LabelSet,
        train: Sequence[Sentence],
        dev: Sequence[Sentence],
        plan: Plan,
        *,
        worker: Worker | None = None,
        resume: Path | None = None,
        source: Prompt | None = None,
    ) -> None:
        self._backbone, self._dev, self._plan = backbone, dev, plan
        self._train = [as_read(sentence) for sentence in train]
        self._worker = worker or Worker()
        self._examples = _examples(backbone, labels, self._train)
        nested = any(is_nested(sentence.spans) for sentence in (*self._train, *dev))
        self.tuned = PromptModel(backbone, labels, plan, source, reach=learned_reach(self._train), nested=nested)
        _assert_trainable(self.tuned)
        self._optimizer = _optimizer(self.tuned, plan)
        self._done = 0 if resume is None else _resume(self.tuned, self._optimizer, resume)
        self._module = self._worker.wrap(self.tuned)
        self._precision = step_precision(backbone.device, bf16=plan.bf16)

    def rounds(self, last: int | None = None) -> Iterator[Round]:
        """Each round once it is done, to the end of the plan or to its round `last`, on the plan's schedule."""
        plan = self._plan
        ends = {round_end(plan, number): number for number in range(1, plan.rounds + 1)}
        until = plan.steps if last is None else round_end(plan, last)
        losses: list[float] = []
        for step, indices in _batches(self._train, plan, self._done, until):
            losses.append(self._learn(step, indices))
            self._done = step
            if step in ends:
                yield self._round(ends[step], sum(losses) / len(losses))
                losses = []

    def save(self, folder: Path) -> None:
        """A `Saver`."""
        save_state(folder, dict(self.tuned.named_parameters()), self._optimizer, {"step": self._done})
        save_file(folded_tensors(self.tuned), folder / PROMPT)

    def _learn(self, step: int, indices: Sequence[int]) -> float:
        _set_rate(self._optimizer, self._plan, step)
        torch.manual_seed(random.Random(f"{self._plan.seed}-{step}-{self._worker.rank}").getrandbits(63))
        with self._backbone.dropping(self._plan.dropout):
            rows = [(self._train[i], self._examples[i]) for i in indices]
            return _step(self._module, self._optimizer, rows, self._worker, self._precision)

    def _round(self, number: int, loss: float) -> Round:
        if not self._dev or (self._worker.rank != 0 and not self._backbone.sharded):
            return Round(number, self._done, loss, None)
        prompt = self.tuned.fold()
        got = evaluate_guesses(self._backbone, prompt, self._dev)
        scores = pooled(got.scores, prompt.labels)
        return Round(number, self._done, loss, scores, got.scores, got.guesses, got.found)


def fit(
    backbone: Backbone,
    labels: LabelSet,
    train: Sequence[Sentence],
    dev: Sequence[Sentence],
    plan: Plan,
    *,
    worker: Worker | None = None,
    resume: Path | None = None,
    on_round: Callable[[Round, Saver], None] | None = None,
    source: Prompt | None = None,
) -> PromptModel:
    """Tune a prompt by `plan` from start to end, reporting each round. Raises InputError as `Tuning` does."""
    run = Tuning(backbone, labels, train, dev, plan, worker=worker, resume=resume, source=source)
    for done in run.rounds():
        if on_round is not None:
            on_round(done, run.save)
    return run.tuned


def _examples(backbone: Backbone, labels: LabelSet, sentences: Sequence[Sentence]) -> list[Example]:
    if not sentences or not labels:
        raise InputError(f"training: found {len(sentences)} sentences and {len(labels)} labels, expected some of both")
    examples = encode_words(backbone.tokenizer, [sentence.words for sentence in sentences])
    for sentence, example in zip(sentences, examples, strict=True):
        where = sentence.where
        most = f"the {backbone.max_pieces} that backbone {backbone.name!r} reads; split it"
        if len(example.pieces) > backbone.max_pieces:
            raise InputError(f"{where}: found {len(example.pieces)} sub-words, expected at most {most}")
        try:
            space = Space(len(labels), len(sentence.words))
            steps = len(encode_spans(sentence.spans, labels.names, space, grammar=NESTED))
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        if steps > backbone.max_pieces:
            raise InputError(f"{where}: found {len(sentence.spans)} entities ({steps} steps), expected at most {most}")
    return examples


def _resume(tuned: PromptModel, optimizer: torch.optim.Optimizer, folder: Path) -> int:
    """Take up the state in `folder` and return the step after which it was written."""
    weights, counters = load_state(folder, optimizer)
    expected = {name: tuple(parameter.shape) for name, parameter in tuned.named_parameters()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if found != expected:
        raise InputError(f"checkpoint {folder}: found {found}, expected the parameters of this plan, {expected}")
    tuned.load_state_dict(weights, strict=False)  # the start is not in the state: the seed gives it again
    return int(counters["step"])


def _assert_trainable(tuned: PromptModel) -> None:
    names = {name.split(".")[0] for name, parameter in tuned.named_parameters() if parameter.requires_grad}
    assert names == {"prompt", "verbalizer"}, f"trainable: {names}"
    assert not any(parameter.requires_grad for parameter in tuned.backbone.model.parameters()), "backbone not frozen"


def _optimizer(tuned: PromptModel, plan: Plan) -> torch.optim.Optimizer:
    shares = {".slot_": plan.slot_rate, "verbalizer.residual": plan.residual_rate}
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in tuned.named_parameters():
        share = next((share for part, share in shares.items() if part in name), 1.0)
        groups.setdefault(share, []).append(parameter)
    own = [{"params": those, "share": share} for share, those in groups.items()]
    return torch.optim.AdamW(own, lr=plan.learning_rate, weight_decay=plan.weight_decay)


def _set_rate(optimizer: torch.optim.Optimizer, plan: Plan, step: int) -> None:
    for group in optimizer.param_groups:
        group["lr"] = plan.learning_rate * group["share"] * rate_share(plan, step)


def _batches(train: Sequence[Sentence], plan: Plan, begin: int, end: int) -> Iterator[tuple[int, list[int]]]:
    """Numbered batches of indices, steps `begin + 1` to `end`; every pass over the data has an order of its own.

    A resumed run begins inside a pass, whose order follows from the seed and the number of the pass alone.
    """
    size = min(plan.batch_size, len(train))
    per_pass = len(train) // size
    step = begin
    while step < end:
        passed, within = divmod(step, per_pass)
        order = list(range(len(train)))
        random.Random(f"{plan.seed}-{passed}").shuffle(order)
        for place in range(within, min(per_pass, within + end - step)):
            last = len(train) if place == per_pass - 1 else (place + 1) * size  # the last batch takes what is left
            step += 1
            yield step, order[place * size : last]


def _step(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    rows: Sequence[tuple[Sentence, Example]],
    worker: Worker,
    precision: torch.autocast,
) -> float:
    """One step on this worker's share of the batch; the loss is the mean over the steps of the whole batch."""
    total = sum(3 * len(sentence.spans) + 1 for sentence, _ in rows)
    # With fewer rows than workers one row is done again without weight, since every worker takes part in each step.
    mine, weight = rows[worker.rank :: worker.count], 1.0
    if not mine:
        mine, weight = rows[:1], 0.0
    with precision:
        loss: Tensor = module([s for s, _ in mine], [e for _, e in mine]) * (weight * worker.count / total)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], _CLIP)
    optimizer.step()
    return float(loss.detach())


def load_prompt(folder: Path, labels: LabelSet, backbone: Backbone, train: Sequence[Sentence]) -> Prompt:
    """The folded prompt that a `Saver` wrote into a folder, which learned from sentences in the words that are read.

    Raises InputError for a damaged state.
    """
    try:
        tensors = load_file(folder / PROMPT)
        vectors = tensors[f"{_ANSWER_SPACE}vectors"]
    except (OSError, KeyError, SafetensorError) as error:
        raise InputError(
            f"checkpoint {folder}: found no readable {PROMPT} ({error}), expected a learned one"
        ) from error
    device, dtype = backbone.device, backbone.embedding.dtype
    learned = {name: tensor for name, tensor in tensors.items() if not name.startswith(_ANSWER_SPACE)}
    guidance = Guidance.from_tensors(learned).to(device, dtype)
    nested = any(is_nested(sentence.spans) for sentence in train)
    return Prompt(labels, guidance, vectors.to(device, dtype), reach=learned_reach(train), nested=nested)


def folded_tensors(tuned: PromptModel) -> dict[str, Tensor]:
    """The tensors of a prompt artefact: the folded guidance in fp16; label weights, residuals and vectors in fp32."""
    prompt, verbalizer = tuned.fold(), tuned.verbalizer
    half = {name: tensor.half() for name, tensor in prompt.guidance.tensors().items()}
    answer_space = {
        f"{_ANSWER_SPACE}weights": verbalizer.weights.detach().float(),
        f"{_ANSWER_SPACE}residual": verbalizer.residual.detach().float(),
        f"{_ANSWER_SPACE}vectors": prompt.label_vectors.float(),
    }
    return {name: tensor.cpu().contiguous() for name, tensor in {**half, **answer_space}.items()}
