"""Label words in context: one pass gives each label its pieces, its vector and its slot."""

from __future__ import annotations

import torch
from torch import Tensor

from lightner.model.backbone import Backbone
from lightner.model.label_states import LabelStates, label_states
from lightner.model.starts import read_labels, untuned_prompt
from lightner.model.verbalizer import Verbalizer, label_pieces
from lightner.types import LabelSet
from tests.support.mixed import double_backbone

LABELS = LabelSet.of(["person", "place"], {"place": ["city", "a", "rome"]})


def vector(backbone: Backbone, words: list[str]) -> Tensor:
    """A label's vector, computed simply: the label alone, half of its encoder states, half of its embeddings."""
    ids = [piece for word in words for piece in backbone.tokenizer.encode(word, add_special_tokens=False)]
    tokenizer = backbone.tokenizer
    wrapped = torch.tensor([[tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]])
    hidden = backbone.model.get_encoder()(input_ids=wrapped).last_hidden_state[0, 1:-1]
    assert isinstance(hidden, Tensor)
    return (hidden + backbone.embedding[ids]).mean(dim=0) / 2


def states_of(backbone: Backbone, names: list[str]) -> LabelStates:
    labels = LabelSet.of(names, {"place": ["xylophonist", "city"]} if "place" in names else None)
    return label_states(backbone, label_pieces(backbone.tokenizer, labels))


def test_a_labels_vector_is_half_encoder_state_half_embedding_of_its_words() -> None:
    backbone = double_backbone(4)
    prompt = untuned_prompt(backbone, LABELS)
    for found, words in zip(prompt.label_vectors, LABELS.words, strict=True):
        torch.testing.assert_close(found, vector(backbone, list(words)), rtol=1e-11, atol=1e-11)


def test_a_label_does_not_depend_on_the_other_labels() -> None:
    backbone = double_backbone(4)
    both, alone = states_of(backbone, ["food", "place"]), states_of(backbone, ["food"])
    torch.testing.assert_close(both.vectors[:1], alone.vectors, rtol=1e-11, atol=1e-11)
    for name, tensor in alone.slots.tensors().items():
        torch.testing.assert_close(both.slots.tensors()[name][..., :1, :], tensor, rtol=1e-11, atol=1e-11)


def test_the_order_of_a_labels_words_counts() -> None:
    backbone = double_backbone(4)
    orders = LabelSet.of(["one", "two"], {"one": ["city", "time"], "two": ["time", "city"]})
    first, second = read_labels(backbone, orders).vectors
    assert not torch.allclose(first, second, rtol=1e-3, atol=1e-3)


def test_labels_of_equal_words_are_equal_until_their_residuals_part_them() -> None:
    backbone = double_backbone(4)
    states = read_labels(backbone, LabelSet.of(["C", "C++"], {"C": ["city"], "C++": ["city"]}))
    verbalizer = Verbalizer(states.pieces, states.mask)
    # To rounding: the rows of one batch need not be summed in the same order on every processor.
    torch.testing.assert_close(verbalizer()[0], verbalizer()[1], rtol=1e-11, atol=1e-11)
    verbalizer.residual.data[1] += 1
    torch.testing.assert_close(verbalizer()[1] - verbalizer()[0], torch.ones(states.vectors.shape[1]).double())


def test_label_states_are_not_part_of_a_verbalizers_state() -> None:
    states = read_labels(double_backbone(4), LABELS)
    assert set(Verbalizer(states.pieces, states.mask).state_dict()) == {"weights", "residual"}
