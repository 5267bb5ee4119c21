"""smtpd_sasl_security_options let the same mechanisms through as with Cyrus SASL: its plug-ins' own declarations."""

from __future__ import annotations

import re
import subprocess

import pytest

from support.peers import require
from tayori.sasl.mechanisms import MECHANISMS, SECURITY_OPTIONS

FLAGS = {
    "NO_PLAINTEXT": "noplaintext",
    "NO_ACTIVE": "noactive",
    "NO_DICTIONARY": "nodictionary",
    "NO_ANONYMOUS": "noanonymous",
    "FORWARD_SECRECY": "forward_secrecy",
    "MUTUAL_AUTH": "mutual_auth",
}
# The viewer does not tell of these: -PLUS forms are no plug-ins of their own, EXTERNAL is in the library itself, and
# libsasl2-modules has no tokens
ALONE = {name for name in MECHANISMS if name.endswith("-PLUS")} | {"EXTERNAL", "OAUTHBEARER", "XOAUTH2"}


@pytest.mark.peer
def test_as_the_plug_ins_of_cyrus_declare() -> None:
    program = require("saslpluginviewer", "sasl2-bin")
    said = subprocess.run([program, "-s"], capture_output=True, text=True, timeout=30).stdout
    declared = dict(re.findall(r"SASL mechanism: (\S+),[^\n]*\n\s*security flags: ([A-Z_|]*)", said))
    theirs = {name: {FLAGS[flag] for flag in flags.split("|") if flag in FLAGS} for name, flags in declared.items()}
    ours = {
        name: {option for option in SECURITY_OPTIONS if not row.traits.permitted_by(frozenset({option}))}
        for name, row in MECHANISMS.items()
    }
    assert set(MECHANISMS) - set(theirs) == ALONE
    differing = {
        name: (theirs[name], ours[name]) for name in ours.keys() & theirs.keys() if theirs[name] != ours[name]
    }
    assert differing == {}
    for name in ours:
        if name.endswith("-PLUS"):
            assert ours[name] == ours[name.removesuffix("-PLUS")]
    assert ours["OAUTHBEARER"] == ours["XOAUTH2"] == {"noanonymous", "nodictionary"}, "a token is sent as it is"
    assert ours["EXTERNAL"] == {"noplaintext", "nodictionary", "noanonymous"}
