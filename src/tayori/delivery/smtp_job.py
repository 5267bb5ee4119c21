"""One delivery request on its way through the hosts of a destination: who waits, what became of the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Container, Iterable, Mapping

from tayori.delivery.outcome import BouncedDelivery, DeferredDelivery, Delivered, DeliveryOutcome
from tayori.delivery.smtp_options import SmtpOptions
from tayori.protocol.address import quote
from tayori.protocol.idn import a_labels
from tayori.protocol.orcpt import typed
from tayori.protocol.seven_bit import SevenBit, labelled
from tayori.protocol.smtp_client_content import Wire, wire
from tayori.protocol.smtp_client_values import ClientRecipient, Envelope
from tayori.queue.content import Content, blocks
from tayori.queue.model import Attributes, Recipient, Stored
from tayori.queue.threads import in_thread, read


class Sending:
    """Content ready to go: `size` in bytes as sent but for stuffed dots. Small content is in wire form already, large
    is read and made so while it is sent."""

    def __init__(self, content: Content, line_limit: int, seven: Callable[[], SevenBit] | None = None) -> None:
        """`seven` makes labelled 8-bit parts 7-bit, `parts` of them. Blocks for large content, which is read through.
        Raises Unreadable."""
        self._line_limit = line_limit
        self._seven = seven
        self.parts = 0
        if isinstance(content, bytes):
            if seven is not None:
                work = seven()
                content = work.feed(content) + work.end()
                self.parts = work.parts
            self.content: Content = wire(content, line_limit)
            self.size = len(self.content)
            return
        self.content = content
        self.size = 0
        self._eight_body = False
        head = len(content.header)
        making = seven() if seven is not None else None
        for block in blocks(content):
            self._eight_body = self._eight_body or (head <= 0 and not block.isascii())
            head -= len(block)
            data = block if making is None else making.feed(block)
            self.size += len(data) + data.count(b"\n")
        if making is not None:
            data = making.end()
            self.size += len(data) + data.count(b"\n")
            self.parts = making.parts

    def eight_body(self) -> bool:
        """Whether there are 8-bit bytes after the header."""
        content = self.content
        if not isinstance(content, bytes):
            return self._eight_body
        return not content.isascii() and not content[max(0, content.find(b"\r\n\r\n")) :].isascii()

    def labelled(self) -> bool:
        """Whether the header says that there are."""
        content = self.content
        return labelled(content.partition(b"\r\n\r\n")[0] if isinstance(content, bytes) else content.header)

    def plain_header(self) -> bool:
        """Whether its header is."""
        if isinstance(self.content, bytes):
            return self.content.partition(b"\r\n\r\n")[0].isascii()
        return self.content.header.isascii()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Large content in wire form. Raises Unreadable."""
        out = Wire(self._line_limit)
        work = self._seven() if self._seven is not None else None
        async for block in read(self.content):
            yield out.feed(block if work is None else work.feed(block))
        if work is not None:
            yield out.feed(work.end())
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
        self,
        sender: str,
        content: Content,
        recipients: Iterable[Recipient],
        attributes: Attributes,
        options: SmtpOptions,
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
        self.queue_id = ""
        self._content = content
        self._options = options
        self._sending: Sending | None = None
        self._seven: Sending | None = None

    async def sending(self, offered: Container[str]) -> Sending:
        """The content ready to go to a server that offers this, made once. Raises Unreadable."""
        if self._sending is None:
            self._sending = await self._made()
        if "8BITMIME" in offered or not self._options.convert:
            return self._sending
        if self._seven is None:
            self._seven = await self._made(self._seven_bit) if self._eight_bit(self._sending) else self._sending
        return self._seven

    async def _made(self, seven: Callable[[], SevenBit] | None = None) -> Sending:
        if isinstance(self._content, Stored):
            return await in_thread(Sending, self._content, self._options.line_limit, seven)
        return Sending(self._content, self._options.line_limit, seven)

    def _seven_bit(self) -> SevenBit:
        return SevenBit(self._options.nesting_limit, self._options.boundary_limit)

    def _eight_bit(self, content: Sending) -> bool:
        """Whether the client said so, the header does, or there are 8-bit bytes after it."""
        if self.attributes.body == "8BITMIME":
            return True
        return self._options.detect_eight and (content.eight_body() or content.labelled())

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

    def needs_smtputf8(self, content: Sending) -> tuple[int, ...]:
        """Who cannot get the message from a server without SMTPUTF8: all for a sender or header beyond ASCII, or
        those whose address has no ASCII form. Only of mail that asked for SMTPUTF8: other mail goes out as it always
        did, whatever is in it (SMTPUTF8_README)."""
        if not self.attributes.smtputf8:
            return ()
        if not self._plain(self.sender) or not content.plain_header():
            return tuple(self.pending)
        return tuple(n for n, recipient in self.pending.items() if not self._plain(recipient.address))

    def _plain(self, address: str) -> bool:
        """Whether an address has an ASCII form: that of its domain is its A-labels, a local part has no other."""
        return address.isascii() or a_labels(address, self._options.transitional).isascii()

    def envelope(self, content: Sending, offered: Container[str]) -> tuple[Envelope, tuple[int, ...]]:
        """The transaction for all who wait, and their numbers in the same order. `offered`: what EHLO said."""
        numbers = tuple(self.pending)
        utf8 = self.attributes.smtputf8 and "SMTPUTF8" in offered
        dsn = "DSN" in offered

        def named(address: str) -> str:
            return quote(address if utf8 or address.isascii() else a_labels(address, self._options.transitional))

        return (
            Envelope(
                sender=named(self.sender) if self.sender else "",
                recipients=tuple(
                    ClientRecipient(
                        named(r.address),
                        r.notify,
                        r.orcpt or (typed(quote(r.original)) if dsn and r.original else ""),
                    )
                    for r in self.pending.values()
                ),
                size=content.size,
                body="8BITMIME" if self.attributes.body == "8BITMIME" or content.eight_body() else "",
                smtputf8=utf8,
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
