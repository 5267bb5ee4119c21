"""Modules that libraries import only when first needed, loaded while we may still read them.

A worker gives root up before it serves; where Python lives in a folder of root's (a pipx or pyenv of root's) a
later import fails, and with it the session that needed it.
"""

from __future__ import annotations

import codecs
import importlib
import pkgutil

CODECS = ("ascii", "latin-1", "utf-8", "utf-16", "utf-7", "idna", "punycode", "unicode_escape", "base64", "quopri")
MODULES = ("idna.uts46data", "idna.idnadata", "idna.package_data", "asyncio.staggered", "stringprep")
PACKAGES = ("dns.rdtypes.ANY", "dns.rdtypes.IN")


def preload() -> None:
    """Load what may be needed; what this Python or library does not have is not needed either."""
    for name in CODECS:
        codecs.lookup(name)
    for name in MODULES:
        _load(name)
    for package in PACKAGES:
        for found in pkgutil.iter_modules(importlib.import_module(package).__path__):
            _load(f"{package}.{found.name}")


def _load(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError:
        return
