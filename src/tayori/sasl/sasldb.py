"""sasldb2, the account file of the Cyrus SASL library: Berkeley DB (hash) or GDBM.

Keys are `user NUL realm NUL property`; passwords stand in the clear under "userPassword".

Berkeley DB needs a library: `pip install 'tayori[sasldb]'` (Debian: libdb5.3-dev to build it); it does not lock
between programs, and Cyrus does not either. GDBM (`sasl.gdbm`) needs only the system's libgdbm, and locks. The file
is opened for one question or one change and closed again.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from tayori.sasl import gdbm

PASSWORD = "userPassword"  # noqa: S105 the name of a property
_BERKELEY_HASH = 0x061561
_GDBM = (0x13579ACE, 0x13579ACD, 0x13579ACF, 0x13579AD0, 0x13579AD1)
NO_LIBRARY = "needs the berkeleydb library: pip install 'tayori[sasldb]' (Debian: apt install libdb5.3-dev first)"


class SasldbError(Exception):
    """The file cannot be used; the text says why."""


class _Store(Protocol):
    def get(self, key: bytes) -> bytes | None: ...
    def put(self, key: bytes, value: bytes) -> None: ...
    def delete(self, key: bytes) -> None: ...
    def keys(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class _Berkeley:
    def __init__(self, library: ModuleType, path: str, write: bool) -> None:
        db = library.db
        self._missing = db.DBNotFoundError
        self._db: Any = db.DB()
        self._db.open(path, None, db.DB_HASH, db.DB_CREATE if write else db.DB_RDONLY, 0o600)

    def get(self, key: bytes) -> bytes | None:
        found = self._db.get(key)
        return None if found is None else bytes(found)

    def put(self, key: bytes, value: bytes) -> None:
        self._db.put(key, value)

    def delete(self, key: bytes) -> None:
        try:
            self._db.delete(key)
        except self._missing:
            raise KeyError from None

    def keys(self) -> Iterator[bytes]:
        return iter([bytes(key) for key in self._db.keys()])  # noqa: SIM118

    def close(self) -> None:
        self._db.close()


def kind(path: str | Path) -> str:
    """ "berkeley", "gdbm", or empty for a file that does not exist or has another format."""
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        return ""
    for order in "<>":
        if len(head) == 16 and struct.unpack(order + "I", head[12:16])[0] == _BERKELEY_HASH:
            return "berkeley"
        if len(head) >= 4 and struct.unpack(order + "I", head[:4])[0] in _GDBM:
            return "gdbm"
    return ""


@contextmanager
def opened(path: str | Path, write: bool = False, new: str = "berkeley") -> Iterator[_Store]:
    """The file, open; with `write` it is made where there is none, of the kind `new`. Raises SasldbError, OSError."""
    found = kind(path)
    if not found and os.path.exists(path) and os.path.getsize(path):
        raise SasldbError(f"{path}: neither Berkeley DB (hash) nor GDBM")
    if not found and not write:
        raise SasldbError(f"{path}: no such file, or empty; make it with saslpasswd2 -c -f {path} USER")
    before = os.umask(0o077) if write and not found else None
    try:
        store = _open(found or new, str(path), write)
    except SasldbError:
        raise
    except Exception as error:  # the libraries' own errors share no base but Exception
        raise SasldbError(f"{path}: {_words(error)}") from error
    finally:
        if before is not None:
            os.umask(before)
    try:
        yield store
    except gdbm.GdbmError as error:
        raise SasldbError(f"{path}: {error}") from error
    finally:
        store.close()


def _berkeleydb() -> ModuleType:
    try:
        import berkeleydb
    except ImportError as error:
        raise SasldbError(NO_LIBRARY) from error
    return berkeleydb  # type: ignore[no-any-return]


def _open(found: str, path: str, write: bool) -> _Store:
    """By the library of its kind. Raises SasldbError, and whatever the library raises."""
    if found != "gdbm":
        return _Berkeley(_berkeleydb(), path, write)
    try:
        gdbm.library()
    except (OSError, AttributeError) as error:
        raise SasldbError(f"a GDBM file needs {gdbm.LIBRARY} (Debian: libgdbm6, Red Hat: gdbm-libs)") from error
    return gdbm.Gdbm(path, write)


def _words(error: Exception) -> str:
    return str(error.args[-1]) if error.args else type(error).__name__


def key(user: str, realm: str, name: str) -> bytes:
    """A key of the file. Raises SasldbError for a NUL."""
    parts = [text.encode("utf-8", "surrogateescape") for text in (user, realm, name)]
    if any(b"\0" in part for part in parts):
        raise SasldbError("a name with a NUL octet")
    return b"\0".join(parts)


def fetch(path: str | Path, user: str, realm: str, names: tuple[str, ...]) -> dict[str, bytes]:
    """Those of the named properties that are stored. Raises SasldbError, OSError."""
    with opened(path) as store:
        found = {name: store.get(key(user, realm, name)) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def users(path: str | Path) -> list[tuple[str, str, str]]:
    """(user, realm, property) of every entry, sorted. Raises SasldbError, OSError."""
    with opened(path) as store:
        parts = [entry.decode("utf-8", "surrogateescape").split("\0") for entry in store.keys()]  # noqa: SIM118
    return sorted((user, realm, name) for user, realm, name in (p for p in parts if len(p) == 3))


def realms_of(path: str | Path, user: str) -> list[str]:
    """The realms in which a user has an entry."""
    return sorted({realm for name, realm, _ in users(path) if name == user})


def store(path: str | Path, user: str, realm: str, values: dict[str, bytes], new: str = "berkeley") -> None:
    """Write properties, making the file (mode 0600) where there is none. Raises SasldbError, OSError."""
    with opened(path, write=True, new=new) as target:
        for name, value in values.items():
            target.put(key(user, realm, name), value)


def delete(path: str | Path, user: str, realm: str) -> bool:
    """Delete every property of a user; False when there was none. Raises SasldbError, OSError."""
    prefix = key(user, realm, "")
    with opened(path, write=True) as target:
        doomed = [entry for entry in target.keys() if entry.startswith(prefix)]  # noqa: SIM118
        for entry in doomed:
            target.delete(entry)
    return bool(doomed)
