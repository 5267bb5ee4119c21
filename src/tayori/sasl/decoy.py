"""Decoys: what is checked for a name that does not exist or is locked, so that its answer takes as long as others.

What a check of a decoy says is never used. Nobody can tell by time whether a name exists when the price of an unknown
name is that of a real one, the same at each try and in each worker; in a store with several kinds of hashes unknown
names are spread over them as the real ones are.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

from tayori.sasl import hashes


class Decoys:
    """For stores that can be looked through: `stored` are all their values."""

    def __init__(self, stored: Iterable[str], default_scheme: str = "CRYPT") -> None:
        usable = (t for t in stored if hashes.checkable(t, default_scheme) and not hashes.never(t, default_scheme))
        self._stored = sorted(set(usable))
        self._key = hashlib.blake2b("\n".join(self._stored).encode("utf-8", "surrogateescape")).digest()

    def pick(self, name: str) -> str:
        """A stored value for a name: always the same one, until the store changes."""
        if not self._stored:
            self._stored = [hashes.make_argon2id(os.urandom(16).hex())]
        digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), key=self._key, digest_size=8).digest()
        return self._stored[int.from_bytes(digest, "little") % len(self._stored)]


class Likeness:
    """For stores that cannot be looked through (SQL, LDAP): what they gave last stands for what they do not have."""

    def __init__(self, default_scheme: str) -> None:
        self._default = default_scheme
        self._like = ""

    def matches(self, stored: str | None, password: str) -> bool:
        """`hashes.matches`; for None (no such name) the same work, and False. Raises UnknownScheme."""
        if stored is None or hashes.never(stored, self._default):
            hashes.matches(self._like, password, self._default)
            return False
        fits = hashes.matches(stored, password, self._default)
        self._like = "" if hashes.is_plain(stored, self._default) else stored
        return fits
