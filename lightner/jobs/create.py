"""The first version of a new domain: a prompt of label words alone, published without any tuning. Knows no Ray."""

from __future__ import annotations

import json

from lightner.jobs import command
from lightner.jobs.label_files import labels_given
from lightner.jobs.options import CreateOptions
from lightner.model import backbone as backbones
from lightner.store.registry import Registry
from lightner.store.untuned import untuned_artifact
from lightner.types import check_name


def main(options: CreateOptions) -> int:
    """Make the domain; returns the exit status."""
    return command.exit_status(lambda: create(options))


def create(options: CreateOptions) -> None:
    """Check the labels and that the domain is new, make its prompt, publish it as the live version.

    Raises:
        InputError: the domain exists already or cannot have this name; a label is malformed; the backbone cannot tell
            two labels apart.
    """
    check_name(options.domain, "DOMAIN")
    labels = labels_given(options.labels, label_words=options.label_words, descriptions=options.descriptions)
    registry = Registry.open(options.registry)
    registry.must_be_new(options.domain)
    base = backbones.load(options.backbone)
    published = registry.create(untuned_artifact(options.domain, labels, base))
    if options.as_json:
        named = {"domain": published.domain, "alias": published.alias, "version": published.version}
        print(json.dumps(named, ensure_ascii=False))
        return
    print(f"published {published.domain} {published.version} into {registry.url}, made from {len(labels)} labels alone")
