"""One delivery request on its way through the hosts of a destination: who waits, what became of the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.protocol.address import quote
from tayori.protocol.smtp_client_content import Wire, wire
from tayori.protocol.smtp_client_values import ClientRecipient, Envelope
from tayori.queue.content import Content, blocks, in_thread, read
from tayori.queue.model import Attributes, Recipient, Stored


class Sending:
    """Content ready to go: `size` in bytes as sent but for stuffed dots. Small content is in wire form already, large
    is read and made so while it is sent."""

    def __init__(self, content: Content, line_limit: int) -> None:
        """Blocks for large content, which is read through. Raises Unreadable."""
        self._line_limit = line_limit
        if isinstance(content, bytes):
            self.content: Content = wire(content, line_limit)
            self.size = len(self.content)
            return
        self.content = content
        self.size = 0
        self._ascii = True
        for block in blocks(content):
            self.size += len(block) + block.count(b"\n")
            self._ascii = self._ascii and block.isascii()

    def isascii(self) -> bool:
        """Whether all of it is seven bit."""
        return self.content.isascii() if isinstance(self.content, bytes) else self._ascii

    def plain_header(self) -> bool:
        """Whether its header is."""
        if isinstance(self.content, bytes):
            return self.content.partition(b"\r\n\r\n")[0].isascii()
        return self.content.header.isascii()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Large content in wire form. Raises Unreadable."""
        out = Wire(self._line_limit)
        async for block in read(self.content):
            yield out.feed(block)
        yield out.end()


class Attempt(dict[int, DeliveryOutcome]):
    """How a request ended: an outcome for each recipient's `n`.

    `healthy` is for the scheduler: True when a server took the handshake, False when connecting, greeting or the
    handshake failed for `reason`, None when the site was never asked.
    """

    def __init__(
        self, outcomes: Mapping[int, DeliveryOutcome], healthy: bool | None = None, reason: str = ""
    ) -> None:
        super().__init__(outcomes)
        self.healthy = healthy
        self.reason = reason


class Job:
    """`pending` recipients may still be offered to the next host; `outcomes` holds the best that is known."""

    def __init__(
        self, sender: str, content: Content, recipients: Iterable[Recipient], attributes: Attributes, line_limit: int
    ) -> None:
        self.sender = sender
        self.attributes = attributes
        self.pending: dict[int, Recipient] = {recipient.n: recipient for recipient in recipients}
        self.outcomes: dict[int, DeliveryOutcome] = {}
        self.sessions = 0
        self.healthy: bool | None = None
        self.reason = ""
        self.stop = False
        self.probe = ""
        """Not "": nothing is delivered; the command whose answer counts, "rcpt" or "data"."""
        self._content = content
        self._sending: Sending | None = None
        self._line_limit = line_limit

    async def sending(self) -> Sending:
        """The content ready to go, made once. Raises Unreadable."""
        if self._sending is None:
            if isinstance(self._content, Stored):
                self._sending = await in_thread(Sending, self._content, self._line_limit)
            else:
                self._sending = Sending(self._content, self._line_limit)
        return self._sending

    def answer(self, n: int, outcome: DeliveryOutcome) -> None:
        """One recipient's outcome. A temporary one leaves it for the next host."""
        self.outcomes[n] = outcome
        if isinstance(outcome, Delivered | BouncedDelivery):
            self.pending.pop(n, None)

    def all(self, outcome: DeliveryOutcome) -> None:
        """The same outcome for every recipient that still waits."""
        for n in tuple(self.pending):
            self.answer(n, outcome)

    def unhealthy(self, outcome: DeliveryOutcome) -> None:
        """The site could not be talked to; that counts unless a server of it has been."""
        if self.healthy is None:
            self.healthy = False
        self.reason = outcome.text
        self.all(outcome)

    def reject_bad_addresses(self) -> None:
        """An address with a control character is never sent: it could smuggle a command."""
        for n, recipient in tuple(self.pending.items()):
            if _has_control(recipient.address) or _has_control(self.sender):
                self.answer(n, BouncedDelivery("bad address syntax", "5.1.3"))

    def needs_smtputf8(self, content: Sending) -> bool:
        """Addresses beyond ASCII, or headers beyond ASCII in mail that came with SMTPUTF8 (RFC 6531 3.1)."""
        if not self.sender.isascii() or any(not r.address.isascii() for r in self.pending.values()):
            return True
        return self.attributes.smtputf8 and not content.plain_header()

    def envelope(self, content: Sending, smtputf8: bool) -> tuple[Envelope, tuple[int, ...]]:
        """The transaction for all who wait, and their numbers in the same order."""
        numbers = tuple(self.pending)
        eight = self.attributes.body.upper() == "8BITMIME" or not content.isascii()
        return (
            Envelope(
                sender=quote(self.sender) if self.sender else "",
                recipients=tuple(ClientRecipient(quote(r.address), r.notify, r.orcpt) for r in self.pending.values()),
                size=content.size,
                body="8BITMIME" if eight else "",
                smtputf8=smtputf8,
                ret=self.attributes.ret,
                envid=self.attributes.envid,
                probe=self.probe == "rcpt",
            ),
            numbers,
        )

    def result(self) -> Attempt:
        """The end of the request; who has no outcome yet is deferred."""
        for n in self.pending:
            self.outcomes.setdefault(n, DeferredDelivery("no mail server was tried", "4.4.0"))
        return Attempt(self.outcomes, self.healthy, self.reason)


def _has_control(text: str) -> bool:
    return not text.isprintable() and any(character < " " or character == "\x7f" for character in text)
