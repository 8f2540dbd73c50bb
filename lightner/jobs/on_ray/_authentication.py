"""The only file that knows how to give a token to Ray after its import (Ray 2.60): it reads its settings only then.

A job imports Ray before it knows whether it starts its own Ray, whose token is made at the start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined] # compiled


def take_up(variables: Mapping[str, str]) -> None:
    """Put these variables into the environment, and make this process's Ray use them too."""
    os.environ.update(variables)
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
