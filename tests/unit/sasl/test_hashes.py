from __future__ import annotations

import pytest

from tayori.sasl import hashes

# Made by the tools named, for the password "secret".
KNOWN = {
    "{PLAIN}secret": "",
    "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=": "openssl",
    "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69": "md5sum",
    "{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=": "openssl",
}


@pytest.mark.parametrize("stored", KNOWN)
def test_known_values(stored: str) -> None:
    assert hashes.matches(stored, "secret")
    assert not hashes.matches(stored, "Secret")


def test_made_here() -> None:
    for stored in (hashes.make_argon2id("pässword"), hashes.make_scram("pässword", "SHA-256", 100)):
        assert hashes.matches(stored, "pässword")
        assert hashes.matches(stored, "pa\u0308ssword"), "the same in another normal form"
        assert not hashes.matches(stored, "password")


def test_a_hash_is_not_its_own_password() -> None:
    stored = hashes.make_argon2id("secret")
    assert not hashes.matches(stored, stored, "PLAIN")
    keys = hashes.make_scram("secret", "SHA-1", 100)
    assert not hashes.matches(keys, keys, "PLAIN")


def test_what_cannot_be_checked_is_said() -> None:
    for stored in ("{NTLM}abc", "{SSHA}!!", "{PBKDF2}$1$x", "$argon2id$broken", "{SCRAM-SHA-1}1,2,3"):
        with pytest.raises(hashes.UnknownScheme) as caught:
            hashes.matches(stored, "secret")
        assert "abc" not in str(caught.value)
    for locked in ("!", "*", "!$6$x$y", "x", ""):
        assert not hashes.matches(locked, "secret")


def test_what_no_password_fits() -> None:
    for stored in ("!", "*", "!$6$x$y", "x", "", "{CRYPT}!", "{SHA512-CRYPT}*"):
        assert hashes.never(stored)
    for stored in ("{PLAIN}!", "$6$salt$" + "a" * 86, hashes.make_argon2id("x"), "{SSHA}!!"):
        assert not hashes.never(stored)
    assert not hashes.never("!", "PLAIN")


def test_properties() -> None:
    assert hashes.property_of("secret") == ("userPassword", "secret")
    assert hashes.property_of("{PLAIN}sec}ret") == ("userPassword", "sec}ret")
    assert hashes.property_of("$6$salt$abc") == ("", "")
    keys = hashes.make_scram("secret", "SHA-256", 100)
    assert hashes.property_of(keys) == ("cmusaslsecretSCRAM-SHA-256", keys)
