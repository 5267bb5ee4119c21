"""The words that check knows are the words that the server obeys."""

from __future__ import annotations

from tayori.config.lint.vocabulary import OLD_RESTRICTIONS, PWCHECK_METHODS, RESTRICTIONS, TABLE_TYPES, close_to
from tayori.config.params import PARAMETERS
from tayori.policy.restrictions import OLD_SPELLINGS
from tayori.policy.restrictions import RESTRICTIONS as OBEYED
from tayori.sasl.verifier_choice import METHODS
from tayori.tables.registry import LEFT_OUT
from tayori.tables.registry import TYPES as OPENED


def test_rules() -> None:
    assert set(RESTRICTIONS) - {"warn_if_reject"} == set(OBEYED)
    assert set(OLD_RESTRICTIONS) == set(OLD_SPELLINGS)


def test_no_word_is_a_rule_and_a_parameter() -> None:
    assert not set(RESTRICTIONS) & set(PARAMETERS)


def test_table_types() -> None:
    assert {kind for kind, why in TABLE_TYPES.items() if not why} == set(OPENED)
    assert set(LEFT_OUT) <= set(TABLE_TYPES)


def test_ways_to_check_passwords() -> None:
    assert set(PWCHECK_METHODS) == {*METHODS, "auxprop", "auxprop-hashed"}


def test_near_words() -> None:
    assert close_to("reject_unknown_sender_domian", RESTRICTIONS) == "reject_unknown_sender_domain"
    assert close_to("please_let_me_in", RESTRICTIONS) == ""
