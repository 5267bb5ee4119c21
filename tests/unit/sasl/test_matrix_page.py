"""docs/sasl.md shows what the interop tests hold."""

from __future__ import annotations

from interop.sasl import backends, clients, matrix
from tayori.sasl.mechanisms import MECHANISMS


def test_the_page_is_made_from_the_tests() -> None:
    text = matrix.PAGE.read_text("utf-8")
    assert matrix.page(text) == text, "PYTHONPATH=tests python -m interop.sasl.matrix"


def test_the_axes_are_whole() -> None:
    assert set(matrix.MECHANISMS) == set(MECHANISMS)
    assert list(matrix.BACKENDS) == list(backends.BACKENDS) == list(matrix.BACKEND_LACKS)
    assert list(matrix.CLIENTS) == list(clients.CLIENTS) == list(matrix.CLIENT_LACKS)
    assert list(matrix.SERVERS) == list(matrix.SERVER_LACKS) and list(matrix.RELAYS) == list(matrix.RELAY_LACKS)
    for table in (matrix.BACKEND_LACKS, matrix.CLIENT_LACKS, matrix.SERVER_LACKS, matrix.RELAY_LACKS):
        for lacks in table.values():
            assert set(lacks) <= set(MECHANISMS) and all(lacks.values())
