"""Words after AUTH: mechanisms are named in the log, anything else may be a password."""

from __future__ import annotations

import pytest

from tayori.sasl.names import ELSEWHERE, UNKNOWN, known


@pytest.mark.parametrize("word", ["PLAIN", "plain", "Scram-Sha-256", "NTLM", "gs2-krb5", *sorted(ELSEWHERE)])
def test_names_of_mechanisms(word: str) -> None:
    assert known(word) == word.upper()


@pytest.mark.parametrize("word", ["hunter2", "", "PLAINX", "AGEAYg==", "LOGIN\\x00", "pass word"])
def test_what_may_be_a_password(word: str) -> None:
    assert known(word) == UNKNOWN
