"""`--from`: the published prompt of another domain that a tuning job starts from. Knows no Ray."""

from __future__ import annotations

from dataclasses import dataclass

from lightner.artifact import prompt_for
from lightner.backbone import Backbone
from lightner.prompts import Prompt
from lightner.registry import LIVE, Registry
from lightner.types import InputError


@dataclass(frozen=True, eq=False)
class Source:
    """A prompt and which version it is, as `domain@v000001`."""

    reference: str
    prompt: Prompt

    @property
    def lengths(self) -> dict[str, int]:
        """The settings of a plan that starts from this prompt; the slots of its labels are not counted."""
        guidance = self.prompt.guidance
        free = guidance.length - len(self.prompt.labels)
        return {"prompt_length": free, "feed_forward_slots": guidance.slots}


def find(registry: Registry, reference: str, base: Backbone) -> Source:
    """The prompt that `domain` or `domain@version-or-alias` names.

    Raises:
        InputError: there is none, it was tuned on another backbone, or it has fewer slots than labels.
    """
    domain, _, ref = reference.partition("@")
    version, artifact = registry.fetch(domain, ref or LIVE)
    source = Source(f"{domain}@{version}", prompt_for(artifact, base))
    if source.lengths["prompt_length"] < 0:
        slots = source.prompt.guidance.length
        raise InputError(f"--from {reference}: found {slots} slots, expected one for each of its labels and free ones")
    return source
