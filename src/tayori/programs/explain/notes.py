"""What restrictions note about their look-ups, in the reader's language.

The policy writes its notes in English, and the history keeps them as they are; here their shape is recognised.
"""

from __future__ import annotations

import re

from tayori.programs.language import N_, Language

NOTES = (
    N_("not ours: another's domain, or a routed address"),
    N_("not ours: a permit list does not count"),
    N_("{kind} by {parameter} at {place}"),
    N_("{kind} by {parameter}"),
    N_("{pattern} at {place}"),
    N_("class of {address}"),
    N_("names of {address}"),
    N_("verification of {address}"),
    N_("client certificate"),
    N_("own address"),
    N_("login {login}"),
    N_("not found"),
    N_("nobody"),
    N_("none"),
    N_("{kinds} of {name}"),
    N_("{key} in {table}"),
)


def _shape(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    text = "".join(f"(?P<{part}>.+?)" if at % 2 else re.escape(part) for at, part in enumerate(parts))
    return re.compile(text, re.DOTALL)


SHAPES = tuple((_shape(template), template) for template in NOTES)


def note(text: str, say: Language) -> str:
    """One note, or a cause's part made of it."""
    if say.code == "en":
        return text
    for shape, template in SHAPES:
        found = shape.fullmatch(text)
        if found is not None:
            return say(template, **{name: say.told(value) for name, value in found.groupdict().items()})
    return say.told(text)
