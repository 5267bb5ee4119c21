"""import_environment: `NAME=value` goes into our own environment, as Postfix does for its daemons (postconf(5)).

Libraries look there: KRB5_KTNAME and KRB5CCNAME name the keytab and the tickets of GSSAPI. Names without a value are
in the environment already; unlike Postfix we take nothing out of it.
"""

from __future__ import annotations

import os

from tayori.config.settings import Settings

NAME = "import_environment"


def given(settings: Settings) -> dict[str, str]:
    """The `NAME=value` entries, without the braces that entries with blanks stand in."""
    pairs = (item.strip("{} ").partition("=") for item in settings.items(NAME) if "=" in item)
    return {name.strip(): value.strip() for name, _, value in pairs}


def adopt(settings: Settings) -> None:
    """Set them, where the parameter is set: its default would only change the language of messages."""
    if settings.is_set(NAME):
        os.environ.update(given(settings))
