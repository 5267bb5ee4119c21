"""postmap -F: values that name files. Their contents count, one after the other with a line end between.

In a text source the value is a list of file names; tayori keeps no base64 copy, so -q and -s read the files. A
database holds the contents themselves in base64, as `postmap -F` of Postfix makes them.
"""

from __future__ import annotations

import base64
import binascii

from tayori.config.origin import ConfigError
from tayori.config.settings import split_items

ENCODED = frozenset(("ldap", "memcache", "mysql", "pgsql", "socketmap", "sqlite", "tcp"))
"""Table types whose values are base64."""


def contents(value: str) -> bytes:
    """The contents of the files that a value names. Raises ConfigError for one that cannot be read."""
    found: list[bytes] = []
    for name in split_items(value):
        try:
            with open(name, "rb") as file:
                found.append(file.read())
        except OSError as error:
            raise ConfigError(f"open {name}: {error.strerror}") from error
    return b"\n".join(found)


def decoded(value: str) -> bytes:
    """Base64. Raises ConfigError for a value that is none."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(f'"{value[:40]}" is not base64', None, "leave -F out to see the value as it is") from None
