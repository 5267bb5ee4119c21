"""mailq: list the mail queue, as `sendmail -bp` and `postqueue -p` do (mailq(1), postqueue(1)).

    mailq [-C DIR]

The status character after the queue id: `*` being delivered, `!` on hold. With enable_long_queue_ids = yes the
columns are Postfix's wide ones.
"""

from __future__ import annotations

import getopt
import json
import sys
import time
from collections.abc import Iterable, Iterator

from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.programs.commands.control import (  # fmt: skip
    EX_CONFIG,
    EX_OK,
    EX_USAGE,
    Failed,
    complain,
    configuration,
    connect,
    queue,
    queue_name,
    shown,
)

Row = dict[str, object]


def traditional(messages: Iterable[Row], wide: bool) -> Iterator[str]:
    """The listing, line by line; times are local."""
    count = size = 0
    for message in messages:
        if count == 0:
            yield _WIDE_HEAD if wide else _HEAD
        count += 1
        size += _number(message.get("size"))
        status = "*" if message.get("active") else "!" if message.get("hold") else ""
        when = time.strftime("%a %b %e %H:%M:%S", time.localtime(_number(message.get("arrival"))))
        sender = shown(message.get("sender") or "MAILER-DAEMON")
        name = f"{message.get('id')}{status}"
        if wide:
            yield f"{name:<17} {_number(message.get('size')):>8} {when} {sender}"
        else:
            yield f"{name:<11} {_number(message.get('size')):>7} {when}  {sender}"
        reason = ""
        for recipient in _recipients(message):
            if recipient.get("reason") and recipient["reason"] != reason:
                reason = str(recipient["reason"])
                yield f"({shown(reason)})".rjust(78)
            yield " " * (47 if wide else 41) + shown(recipient.get("address"))
        yield ""
    if count:
        yield f"-- {size // 1024} Kbytes in {count} Request{'' if count == 1 else 's'}."
    else:
        yield "Mail queue is empty"


def as_json(messages: Iterable[Row]) -> Iterator[str]:
    """One JSON object a line (postqueue(1) JSON OBJECT FORMAT)."""
    for message in messages:
        recipients = []
        for recipient in _recipients(message):
            shape = {"address": recipient.get("address")}
            if recipient.get("reason"):
                shape["delay_reason"] = recipient["reason"]
            recipients.append(shape)
        yield json.dumps(
            {
                "queue_name": queue_name(message),
                "queue_id": message.get("id"),
                "arrival_time": _number(message.get("arrival")),
                "message_size": _number(message.get("size")),
                "forced_expire": False,
                "sender": message.get("sender") or "MAILER-DAEMON",
                "recipients": recipients,
            }
        )


_HEAD = "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------"
_WIDE_HEAD = "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0


def _recipients(message: Row) -> list[Row]:
    """Those with the same reason together, those without one first."""
    found = message.get("recipients")
    rows: list[Row] = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    return sorted(rows, key=lambda row: str(row.get("reason") or ""))


def listing(settings: Settings, form: str) -> int:
    """Print the queue, `-p` or `-j`. Raises Failed."""
    with connect(settings) as sock:
        rows = queue(sock)
        lines = as_json(rows) if form == "-j" else traditional(rows, settings.flag("enable_long_queue_ids"))
        for line in lines:
            print(line)
    sys.stdout.flush()
    return EX_OK


def main(argv: list[str]) -> int:
    """Run mailq with these arguments (without the program's name)."""
    try:
        options, rest = getopt.getopt(argv, "C:c:v")
        if rest:
            raise Failed("display queue mode requires no recipient", EX_USAGE)
        directory = next((value for option, value in options if option in ("-C", "-c")), "")
        return listing(configuration(directory), "-p")
    except getopt.GetoptError as error:
        complain("mailq", f"{error.msg}\nusage: mailq [-C DIR]")
        return EX_USAGE
    except ConfigError as error:
        complain("mailq", f"fatal: {error}")
        return EX_CONFIG
    except BrokenPipeError:
        return EX_OK
    except Failed as error:
        complain("mailq", f"fatal: {error}")
        return error.code
