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
    for lacks in (*matrix.BACKEND_LACKS.values(), *matrix.CLIENT_LACKS.values(), *matrix.SERVER_LACKS.values()):
        assert set(lacks) <= set(MECHANISMS) and all(lacks.values())
