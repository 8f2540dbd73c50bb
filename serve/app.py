"""The import path `serve.app:build` of a checkout; the application is `lightner.service.app`."""

from lightner.service.app import build

__all__ = ["build"]
