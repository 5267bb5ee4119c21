"""What the readers of main.cf, master.cf and smtpd.conf say of a mistake, as Phrases that can be translated.

They raise ConfigErrors in plain English; here their shape is recognised, so that the readers need no catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tayori.config.lint.finding import Phrase

KINDS: Mapping[str, Phrase] = {
    str(one): one
    for one in (
        Phrase("yes or no"),
        Phrase("a whole number"),
        Phrase("an SMTP reply code (three digits)"),
        Phrase("a time (s, m, h, d, w)"),
        Phrase("a value"),
    )
}
MESSAGES = (
    Phrase("{name} = {value}: this must be {kind}"),
    Phrase("{name} = {value}: this is not one of the known words"),
    Phrase("{name}: $name expansion goes round in a circle"),
    Phrase("$name expansion goes round in a circle"),
    Phrase('"{text}" lacks a closing "{closer}"'),
    Phrase('"{text}" names no parameter'),
    Phrase('"{text}": "{sign}" is not ? or :'),
    Phrase('"{text}" is no comparison'),
    Phrase('"{text}" is no $name'),
    Phrase('compatibility level "{text}" is not a version number'),
    Phrase('"{text}" has no "="'),
    Phrase("the name before = is missing"),
    Phrase('"{name}" has a blank in it and cannot be a parameter name'),
    Phrase("is larger than 16 MiB"),
    Phrase("holds a NUL byte"),
    Phrase("cannot be read: {why}"),
    Phrase('-o "{text}" is not name=value'),
    Phrase("-o at the end names no setting"),
    Phrase('the service "{name}" has {count} of the 8 columns it needs'),
    Phrase('"{kind}" is no service type'),
    Phrase('column "{title}" is "{value}"'),
    Phrase("{name} {kind} has no port"),
    Phrase('"{port}" is no known port'),
    Phrase('"{text}" is not key: value'),
    Phrase('"{name}" has no value'),
)
MENDS = (
    Phrase("Write yes or no"),
    Phrase("Write a whole number"),
    Phrase("Write a number and one of s, m, h, d, w"),
    Phrase("The least is {number}"),
    Phrase("The most is {number}"),
    Phrase('Did you mean "{near}"? write {choices}'),
    Phrase("Break the circle of references"),
    Phrase("Close the bracket"),
    Phrase("Write $$ for a plain $"),
    Phrase("Write for example 3.6"),
    Phrase("Write name = value; a note must begin with # in its own line"),
    Phrase("Is this the right file?"),
    Phrase("Save it as plain text"),
    Phrase("Check that the file exists and its mode"),
    Phrase("Check its mode"),
    Phrase("Write -o name=value without blanks round the =, or -o { name = value }"),
    Phrase("Write: name type private unpriv chroot wakeup maxproc command (- takes the default)"),
    Phrase("Write one of {choices}"),
    Phrase("Write seconds, seconds? or -"),
    Phrase("Write a number or -"),
    Phrase("Write y, n or -"),
    Phrase("Use type inet for a port"),
    Phrase("Write a port number from 1 to 65535, or smtp, submission"),
    Phrase("Write key: value, with a colon"),
    Phrase("Give a value or delete the line"),
    Phrase("Write {text}"),
)


def _shape(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    text = "".join(f"(?P<{part}>.+?)" if at % 2 else re.escape(part) for at, part in enumerate(parts))
    return re.compile(text, re.DOTALL)


SHAPES = tuple((_shape(one.template), one.template) for one in (*MESSAGES, *MENDS))


def said(text: str) -> str:
    """The text as a Phrase where its shape is known, else as it is."""
    for shape, template in SHAPES:
        found = shape.fullmatch(text)
        if found is None:
            continue
        fields: dict[str, object] = dict(found.groupdict())
        if "kind" in fields:
            fields["kind"] = KINDS.get(str(fields["kind"]), fields["kind"])
        return Phrase(template, **fields)
    return text


def mend(text: str, instead: str) -> str:
    """The same for what helps, which begins with a capital; `instead` where there is nothing."""
    return said(text[:1].upper() + text[1:]) if text else instead
