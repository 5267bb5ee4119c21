"""GDBM files through the system's libgdbm (which Debian and Red Hat install with Perl), by ctypes: nothing to build.

Python's own dbm.gnu is the same library, but is left out of many builds of Python. GDBM locks whole files while they
are open, many readers or one writer; a file that is locked is tried again for LOCKED_SECONDS.
"""

from __future__ import annotations

import ctypes
import functools
import os
import time
from collections.abc import Iterator

LIBRARY = "libgdbm.so.6"
LOCKED_SECONDS = 2.0
_READER, _WRITER, _CREATE, _CLOEXEC, _REPLACE = 0, 1, 2, 0x100, 1
_CANNOT_READ, _CANNOT_WRITE, _NOT_FOUND = 9, 10, 15


class GdbmError(Exception):
    """What the library says."""


class _Datum(ctypes.Structure):
    _fields_ = (("dptr", ctypes.c_void_p), ("dsize", ctypes.c_int))


_FATAL = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
_TYPES: dict[str, tuple[object, tuple[object, ...]]] = {
    "gdbm_open": (ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p)),
    "gdbm_close": (None, (ctypes.c_void_p,)),
    "gdbm_fetch": (_Datum, (ctypes.c_void_p, _Datum)),
    "gdbm_store": (ctypes.c_int, (ctypes.c_void_p, _Datum, _Datum, ctypes.c_int)),
    "gdbm_delete": (ctypes.c_int, (ctypes.c_void_p, _Datum)),
    "gdbm_firstkey": (_Datum, (ctypes.c_void_p,)),
    "gdbm_nextkey": (_Datum, (ctypes.c_void_p, _Datum)),
    "gdbm_strerror": (ctypes.c_char_p, (ctypes.c_int,)),
    "gdbm_errno_location": (ctypes.POINTER(ctypes.c_int), ()),
}


@functools.cache
def library() -> ctypes.CDLL:
    """libgdbm, with its types. Raises OSError where there is none, AttributeError where it is too old."""
    found = ctypes.CDLL(LIBRARY)
    for name, (result, arguments) in _TYPES.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found


@functools.cache
def _free() -> ctypes._NamedFuncPointer:
    function = ctypes.CDLL(None).free
    function.restype, function.argtypes = None, (ctypes.c_void_p,)
    return function


class Gdbm:
    """An open file. Raises GdbmError, OSError."""

    def __init__(self, path: str, write: bool) -> None:
        """With `write` the file is made (mode 0600) where there is none."""
        self._library = library()
        mode = (_CREATE if write else _READER) | _CLOEXEC
        until = time.monotonic() + LOCKED_SECONDS
        while True:
            self._file = self._library.gdbm_open(os.fsencode(path), 0, mode, 0o600, None)
            if self._file:
                return
            if self._errno() not in (_CANNOT_READ, _CANNOT_WRITE) or time.monotonic() > until:
                raise GdbmError(self._words())
            time.sleep(0.02)

    def get(self, key: bytes) -> bytes | None:
        """The value; None where there is none."""
        return self._take(self._library.gdbm_fetch(self._file, _datum(key)))

    def put(self, key: bytes, value: bytes) -> None:
        """Write, whatever was there."""
        if self._library.gdbm_store(self._file, _datum(key), _datum(value), _REPLACE):
            raise GdbmError(self._words())

    def delete(self, key: bytes) -> None:
        """Raises KeyError for a key that is not there."""
        if self._library.gdbm_delete(self._file, _datum(key)):
            if self._errno() == _NOT_FOUND:
                raise KeyError(key)
            raise GdbmError(self._words())

    def keys(self) -> Iterator[bytes]:
        """Every key, in no order."""
        found = []
        key = self._take(self._library.gdbm_firstkey(self._file))
        while key is not None:
            found.append(key)
            key = self._take(self._library.gdbm_nextkey(self._file, _datum(key)))
        return iter(found)

    def close(self) -> None:
        """Write out and unlock."""
        self._library.gdbm_close(self._file)

    def _take(self, datum: _Datum) -> bytes | None:
        if not datum.dptr:
            if self._errno() != _NOT_FOUND:
                raise GdbmError(self._words())
            return None
        try:
            return ctypes.string_at(datum.dptr, datum.dsize)
        finally:
            _free()(datum.dptr)

    def _errno(self) -> int:
        return int(self._library.gdbm_errno_location()[0])

    def _words(self) -> str:
        words: bytes = self._library.gdbm_strerror(self._errno())
        return words.decode("ascii", "replace")


def _datum(data: bytes) -> _Datum:
    """A key or value for the call that it is made in; `data` outlives it."""
    return _Datum(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data))
