"""Message content on the wire: CRLF line ends, dots stuffed, long lines broken (RFC 5321 4.5.2, 4.5.3.1.6).

Only `\\r\\n` ever ends a line of what we send, and a stray CR is sent as a blank: a receiver that takes something
else for a line end cannot be made to see an end of message inside the content (SMTP smuggling).
"""

from __future__ import annotations

END = b".\r\n"


def wire(content: bytes, line_limit: int = 998) -> bytes:
    """`content` (LF line ends) ready to send, without the final dot line.

    Lines over `line_limit` bytes are broken by CRLF and a blank (postconf(5) smtp_line_length_limit; 0: never).
    """
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    if content and not content.endswith(b"\n"):
        content += b"\n"
    if 0 < line_limit < len(content) and max(map(len, content.split(b"\n"))) > line_limit:
        content = _break(content, line_limit)
    content = content.replace(b"\n", b"\r\n")
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..")


def _break(content: bytes, limit: int) -> bytes:
    lines = content.split(b"\n")
    for number, line in enumerate(lines):
        if len(line) > limit:
            pieces = [line[:limit]]
            # the blank that begins a continuation counts
            step = max(1, limit - 1)
            pieces.extend(b" " + line[at : at + step] for at in range(limit, len(line), step))
            lines[number] = b"\n".join(pieces)
    return b"\n".join(lines)
