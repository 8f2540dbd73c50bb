"""A registry and a backbone that commands read."""

from __future__ import annotations

import pytest

from tests.support.serving import Place, prepare


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return prepare(tmp_path_factory.mktemp("place"))
