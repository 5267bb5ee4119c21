"""PAM, the system's own way to check a password: a small binding to libpam (pam(3)), blocking.

Modules may hang, leak and keep locks: call this only in a process that may be killed (see
programs/daemons/saslauthd_pam.py), never in a server's own.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import cache

PROMPT_ECHO_OFF, PROMPT_ECHO_ON = 1, 2
SUCCESS, CONV_ERR = 0, 19
# pam_authenticate and pam_acct_mgmt codes that mean "no", all others mean that PAM itself has trouble.
REFUSALS = {6: "permission denied", 7: "wrong password", 8: "not permitted", 10: "no such user",
            11: "too many tries", 12: "the password has expired", 13: "the account has expired"}  # fmt: skip
_LIBPAM = "libpam.so.0"


class PamError(Exception):
    """PAM could not be asked."""


class _Message(ctypes.Structure):
    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


class _Response(ctypes.Structure):
    _fields_ = (("text", ctypes.c_void_p), ("code", ctypes.c_int))


_Talk = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(_Message)),
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_void_p,
)


class _Conversation(ctypes.Structure):
    _fields_ = (("talk", _Talk), ("data", ctypes.c_void_p))


@cache
def _libraries() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    try:
        pam = ctypes.CDLL(ctypes.util.find_library("pam") or _LIBPAM)
    except OSError as error:
        raise PamError("libpam is not installed") from error
    libc = ctypes.CDLL(None)
    libc.calloc.restype = ctypes.c_void_p
    libc.calloc.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
    libc.strdup.restype = ctypes.c_void_p
    libc.strdup.argtypes = (ctypes.c_char_p,)
    handle = ctypes.c_void_p
    pam.pam_start.argtypes = (
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.POINTER(_Conversation),
        ctypes.POINTER(handle),
    )
    for name in ("pam_authenticate", "pam_acct_mgmt", "pam_end"):
        getattr(pam, name).argtypes = (handle, ctypes.c_int)
    pam.pam_strerror.argtypes = (handle, ctypes.c_int)
    pam.pam_strerror.restype = ctypes.c_char_p
    return pam, libc


def check(service: str, user: str, password: str) -> str:
    """Empty when PAM lets the user in (authentication and account), else why not. Raises PamError for trouble."""
    if "\0" in service + user + password or not service or "/" in service:
        return "a name that PAM cannot take"
    pam, libc = _libraries()
    name, secret = (text.encode("utf-8", "surrogateescape") for text in (user, password))

    def talk(count: int, messages: object, answers: object, data: object) -> int:
        made = libc.calloc(count, ctypes.sizeof(_Response))
        if not made:
            return CONV_ERR
        responses = ctypes.cast(made, ctypes.POINTER(_Response))
        for at in range(count):
            style = messages[at].contents.style  # type: ignore[index]
            if style == PROMPT_ECHO_OFF:
                responses[at].text = libc.strdup(secret)
            elif style == PROMPT_ECHO_ON:
                responses[at].text = libc.strdup(name)
        answers[0] = made  # type: ignore[index]
        return SUCCESS

    conversation = _Conversation(_Talk(talk), None)
    handle = ctypes.c_void_p()
    code = pam.pam_start(service.encode(), name, ctypes.byref(conversation), ctypes.byref(handle))
    if code != SUCCESS:
        raise PamError(f"pam_start: error {code}")
    try:
        code = pam.pam_authenticate(handle, 0)
        if code == SUCCESS:
            code = pam.pam_acct_mgmt(handle, 0)
        if code == SUCCESS:
            return ""
        if code in REFUSALS:
            return REFUSALS[code]
        said = pam.pam_strerror(handle, code) or b""
        raise PamError(f"error {code}: {said.decode('utf-8', 'replace')}")
    finally:
        pam.pam_end(handle, code)
