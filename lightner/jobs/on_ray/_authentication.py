"""The only file that knows how Ray takes up a token after it was imported (Ray 2.60): it reads its settings only then.

A job imports Ray before it knows whether it starts one of its own, whose token is made at the start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined] # compiled


def take_up(variables: Mapping[str, str]) -> None:
    """Put these into the environment, for this process's Ray too."""
    os.environ.update(variables)
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
