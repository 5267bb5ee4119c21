"""Records, trail, store, queries and codes of the history."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from tayori.config.origin import Origin
from tayori.policy.facts import ClientFacts, Facts, Stage
from tayori.policy.verdict import Action, Reason, Step, Verdict
from tayori.programs.daemons.smtpd.values import Transaction
from tayori.programs.history.convert import record
from tayori.programs.history.history import History
from tayori.programs.history.query import BadQuery, moment, query
from tayori.programs.history.record import MOST, Asked, Decision, Outcome, Record, code_of, code_text
from tayori.programs.history.store import FILE_NAME, Reader, Store
from tayori.programs.history.tell import line
from tayori.programs.history.trail import Left, Trail
from tayori.programs.language import ENGLISH
from tayori.protocol.reply import Reply

CLIENT = ClientFacts("192.0.2.1", 4711, "client.example", server_port=25)
DENIED = Reply(554, "5.7.1", "<x@y.example>: Relay access denied")
REASON = Reason("RCPT", "smtpd_relay_restrictions", "reject_unauth_destination", "", Origin("main.cf", 7))
REFUSED = Verdict(Action.REJECT, DENIED, REASON, trace=(Step(REASON, "reject", str(DENIED)),))
PERMITTED = Verdict(Action.PERMIT)
NOW = 1_800_000_000.0


class Party:
    client, helo, esmtp, tls, login = CLIENT, "client.example", True, None, None
    transaction: Transaction | None = Transaction("a@b.example", number=0x7A0, size=9)


def facts(recipient: str) -> Facts:
    return Facts(CLIENT, Stage.RCPT, helo="client.example", sender="a@b.example", recipient=recipient)


def one(number: int = 0, when: float = NOW, **changes: object) -> Record:
    values = {
        "when": when, "client": "192.0.2.1", "sender": "a@b.example", "number": number,
        "decisions": (Decision("RCPT", "x@example.com", "permit"),), "reply": "250 2.0.0 Ok" if number else "",
    }  # fmt: skip
    return Record(**{**values, **changes})  # type: ignore[arg-type]


def trail(shown: bool = False) -> tuple[Trail, list[Left]]:
    left: list[Left] = []
    return Trail(left.append, lambda: 7, shown), left


def test_a_refused_and_an_accepted_recipient_make_one_record() -> None:
    notes, left = trail()
    party = Party()
    notes.offered(("PLAIN",))
    notes.login_failed("PLAIN", "taro", "wrong password")
    notes.judged(REFUSED, facts("x@y.example"))
    assert notes.refused("RCPT", b"TO:<x@y.example>", DENIED) is DENIED
    notes.judged(PERMITTED, facts("taro@example.com"))
    notes.answered(Reply(250, "2.0.0", "Ok: queued as 7A0"))
    notes.ends(party)
    party.transaction = None
    notes.gone(party)
    assert len(left) == 1
    found = record(left[0])
    assert [d.action for d in found.decisions] == ["reject", "permit"]
    first = found.decisions[0]
    assert first.by is not None
    assert (first.by.place, first.reply, first.code) == ("main.cf:7", str(DENIED), "00007")
    assert [step.restriction for step in first.asked] == ["reject_unauth_destination"]
    assert (found.queue_id, found.accepted, found.offered) == ("7A0", True, ("PLAIN",))
    assert found.failed[0].why == "wrong password"


def test_the_code_is_in_the_reply_only_when_wanted() -> None:
    notes, _ = trail(shown=True)
    notes.judged(REFUSED, facts("x@y.example"))
    assert str(notes.refused("RCPT", b"", DENIED)) == f"{DENIED} [r-00007]"
    assert notes.refused("FOO", b"x", Reply(500, "5.5.2", "no")).text == "no"


def test_a_session_without_mail_is_one_record_and_with_mail_no_more() -> None:
    notes, left = trail()
    party = Party()
    party.transaction = None
    notes.gone(party)
    assert len(left) == 1
    assert record(left[0]).sender is None
    assert not record(left[0]).accepted


def test_secrets_of_a_refused_login_are_never_kept() -> None:
    notes, left = trail()
    notes.refused("AUTH", b"PLAIN AGEAc2VjcmV0", Reply(535, "5.7.8", "no"))
    notes.refused("AGEAC2VJCMV0", b"c2VjcmV0", Reply(500, "5.5.2", "no"))
    notes.gone(Party())
    text = repr(record(left[0]))
    assert "AGEA" not in text.upper()
    assert "c2VjcmV0" not in text
    assert record(left[0]).decisions[0].about == "PLAIN"


def test_a_trail_is_bounded() -> None:
    notes, left = trail()
    for number in range(MOST * 3):
        notes.judged(REFUSED, facts(f"u{number}@y.example"))
        notes.refused("RCPT", b"", DENIED)
    notes.ends(Party())
    found = record(left[0])
    assert len(found.decisions) == MOST
    assert found.more >= MOST * 2


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE_NAME)
    kept = one(7, decisions=(Decision("RCPT", "x@example.com", "reject", "550 no", code="7K2QA"),))
    store.write([one(5), kept], [Outcome(5, NOW, "sent", "taro@example.com", "x@example.com")])
    reader = Reader(tmp_path / FILE_NAME)
    assert reader.records() == [one(5), kept]
    assert reader.by_code("7K2QA") == [kept]
    assert reader.outcomes(5)[0].address == "taro@example.com"
    assert list(reader.each(NOW - 1)) == [one(5), kept]
    assert list(reader.each(NOW + 1)) == []
    reader.close()
    store.close()
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0


def test_each_begins_at_a_time_and_goes_through_pages(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE_NAME)
    store.write([one(n + 1, NOW + n) for n in range(1500)], [])
    reader = Reader(tmp_path / FILE_NAME)
    assert [r.number for r in reader.each(NOW + 300)] == list(range(301, 1501))
    reader.close()
    store.close()


def test_old_rows_go_by_age_with_their_codes(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE_NAME)
    refused = (Decision("RCPT", "x@example.com", "reject", "550 no", code="7K2QA"),)
    store.write([one(n + 1, NOW + n, decisions=refused) for n in range(5000)], [Outcome(1, NOW, "sent")])
    assert store.prune(NOW + 4990, 0) == 4991
    reader = Reader(tmp_path / FILE_NAME)
    assert len(reader.records()) == 10
    assert len(reader.by_code("7K2QA")) == 10
    assert reader.outcomes(1) == []
    reader.close()
    store.close()


def test_the_oldest_go_when_the_file_is_too_large(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE_NAME)
    for start in range(0, 20000, 4000):
        store.write([one(n + 1, NOW + n, helo="x" * 100) for n in range(start, start + 4000)], [])
    full = store._used()
    store.prune(0.0, full // 2)
    reader = Reader(tmp_path / FILE_NAME)
    rest = reader.records()
    assert store._used() <= full // 2
    assert rest[-1].number == 20000
    assert 4000 < len(rest) < 12000
    reader.close()
    store.close()


def test_a_broken_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"this is no database" * 100)
    store = Store(path)
    store.write([one(5)], [])
    store.close()
    assert (tmp_path / f"{FILE_NAME}.broken").exists()
    assert len(Reader(path).records()) == 1


def test_two_writers_take_turns(tmp_path: Path) -> None:
    first, second = Store(tmp_path / FILE_NAME), Store(tmp_path / FILE_NAME)
    for number in range(1, 50):
        (first if number % 2 else second).write([one(number)], [])
    assert len(Reader(tmp_path / FILE_NAME).records()) == 49
    first.close()
    second.close()


def test_the_thread_writes_and_survives_a_missing_folder(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    history = History(folder, 30, 0, False, True)
    history.start()
    notes = history.trail()
    notes.judged(REFUSED, facts("x@y.example"))
    notes.ends(Party())  # type: ignore[arg-type]
    time.sleep(1.3)  # the first attempt fails
    folder.mkdir()
    history.stop()
    assert len(Reader(folder / FILE_NAME).records()) == 1


def test_bytes_that_are_no_utf8_are_kept_readable(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE_NAME)
    store.write([one(1, sender="caf\udce9@b.example"), one(2)], [Outcome(1, NOW, "sent", "\udcff@x.example")])
    reader = Reader(tmp_path / FILE_NAME)
    assert [r.sender for r in reader.records()] == ["caf\\xe9@b.example", "a@b.example"]
    assert reader.outcomes(1)[0].address == "\\xff@x.example"
    store.close()


def test_a_sender_that_was_refused_is_found(tmp_path: Path) -> None:
    by = Asked("MAIL", "smtpd_sender_restrictions", "reject_unknown_sender_domain", "", "main.cf", 3)
    no = Decision("MAIL", "Spam@x.example", "reject", "450 no", by)
    store = Store(tmp_path / FILE_NAME)
    store.write([one(sender=None, decisions=(no,), reply=""), one(1)], [])
    asked = query(["from:spam@x.example"], NOW)
    found = Reader(tmp_path / FILE_NAME).records(asked.where, asked.values)
    assert [r.sender for r in found] == [None]
    assert "<Spam@x.example>" in line(found[0], ENGLISH)
    store.close()


def test_no_history_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Reader(tmp_path / FILE_NAME)


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["from:A@B"], [1, 2, 3, 4]),
        (["to:hanako"], [2]),
        (["to:taro@example.com"], [1]),
        (["refused"], [3]),
        (["accepted"], [1, 2, 4]),
        (["bounced"], [2]),
        (["x@example.com", "since:2027-01-15"], [1, 3, 4]),
        (["client:client.example"], [4]),
        (["login:taro"], [4]),
        (["to:100%"], []),
        ([], [1, 2, 3, 4]),
    ],
)
def test_queries(tmp_path: Path, words: list[str], numbers: list[int]) -> None:
    store = Store(tmp_path / FILE_NAME)
    no = (Decision("RCPT", "x@example.com", "reject", "550 no"),)
    store.write(
        [
            one(1),
            one(2, decisions=(Decision("RCPT", "hanako@example.com", "permit"),)),
            one(3, decisions=no, reply=""),
            one(4, client_name="client.example", login="taro"),
        ],
        [
            Outcome(1, NOW, "sent", "taro@example.com", "x@example.com"),
            Outcome(2, NOW, "bounced", "hanako@example.com"),
        ],
    )
    asked = query(words, NOW)
    reader = Reader(tmp_path / FILE_NAME)
    assert [r.number for r in reader.records(asked.where, asked.values)] == numbers
    reader.close()
    store.close()


@pytest.mark.parametrize("word", ["foo", "from:", "since:soon", "colour:red"])
def test_bad_queries_name_the_word(word: str) -> None:
    with pytest.raises(BadQuery):
        query([word], NOW)


def test_an_sql_word_is_only_a_value(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE_NAME)
    store.write([one(1)], [])
    asked = query(["from:'; DROP TABLE record; --"], NOW)
    reader = Reader(tmp_path / FILE_NAME)
    assert reader.records(asked.where, asked.values) == []
    with pytest.raises(sqlite3.OperationalError):
        reader._base.execute("DELETE FROM record")
    store.close()


def test_moments() -> None:
    now = time.mktime((2026, 11, 24, 18, 4, 56, 0, 0, -1))
    assert moment("2h", now) == now - 7200
    assert moment("today", now) == time.mktime((2026, 11, 24, 0, 0, 0, 0, 0, -1))
    assert moment("yesterday", now) == time.mktime((2026, 11, 23, 0, 0, 0, 0, 0, -1))
    assert moment("2026-11-20T10:30", now) == time.mktime((2026, 11, 20, 10, 30, 0, 0, 0, -1))
    assert moment("10:30", now) == time.mktime((2026, 11, 24, 10, 30, 0, 0, 0, -1))


def test_codes_are_read_as_people_type_them() -> None:
    assert code_text(0) == "00000"
    assert len({code_text(n) for n in range(5000)}) == 5000
    assert code_of("[r-7k2qo]") == "7K2Q0"
    assert code_of("R-7K2Ql") == "7K2Q1"
    assert code_of("7K2Q") == ""
    assert code_of("last") == ""
