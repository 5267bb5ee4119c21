"""A text that still knows the template it was made from, so that it can be said in another language."""

from __future__ import annotations

from collections.abc import Mapping


class Phrase(str):
    """A filled-in template that still knows what it was made from."""

    __slots__ = ("fields", "template")
    template: str
    fields: Mapping[str, object]

    def __new__(cls, template: str, /, **fields: object) -> Phrase:
        """The English text."""
        made = super().__new__(cls, template.format(**fields) if fields else template)
        made.template = template
        made.fields = fields
        return made


class Told(str):
    """What code without a catalogue says in English; the reader's language knows it by its shape."""

    __slots__ = ()
