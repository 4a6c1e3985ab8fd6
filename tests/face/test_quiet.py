"""What is held back of what is logged."""

from __future__ import annotations

import logging

import pytest

from perceptum.quiet import logs_once


@pytest.fixture
def heard():
    """The words that come to each of two handlers, of a logger and of one below it."""

    class Listens(logging.Handler):
        def __init__(self) -> None:
            super().__init__()
            self.words: list[str] = []

        def emit(self, record):
            self.words.append(record.getMessage())

    listeners = [Listens(), Listens()]
    loggers = logging.getLogger("quiet_of"), logging.getLogger("quiet_of.below")
    for logger, listener in zip(loggers, listeners, strict=True):
        logger.addHandler(listener)
    yield [listener.words for listener in listeners]
    for logger, listener in zip(loggers, listeners, strict=True):
        logger.removeHandler(listener)


def test_the_same_words_are_logged_once_to_every_handler_and_then_as_before(heard):
    below, beside = logging.getLogger("quiet_of.below"), logging.getLogger("quiet_off")
    handlers = logging.getLogger("quiet_of").handlers
    beside.addHandler(handlers[0])
    with logs_once("quiet_of.below"):
        for number in (1, 1, 2, 1):
            below.warning("number %d", number)
            beside.warning("others are not held back")
    beside.removeHandler(handlers[0])
    assert heard[1] == ["number 1", "number 2"]
    assert heard[0].count("number 1") == heard[0].count("number 2") == 1
    assert heard[0].count("others are not held back") == 4
    below.warning("number 1")
    assert heard[1][-1] == heard[0][-1] == "number 1"


def test_where_nobody_listens_they_are_on_standard_error_once(capsys, monkeypatch):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    with logs_once("quiet_of"):
        for _ in range(3):
            logging.getLogger("quiet_of.below").warning("again")
    assert capsys.readouterr().err == "again\n"
