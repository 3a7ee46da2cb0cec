"""Log lines: fields, ids that are bound, and nothing of a stranger's."""

import asyncio
import json
import logging

import pytest

from contract.errors import TransientError
from contract.log_context import bound
from contract.log_repeats import BURST, Repeats
from contract.logs import ConsoleFormatter, JsonFormatter, configure_logs


def record(message: str = "batch given back", **fields: object) -> logging.LogRecord:
    """Make a record as ``logger.warning`` does."""
    made = logging.LogRecord("headrace.mill", logging.WARNING, __file__, 1, message, None, None)
    vars(made).update(fields)
    return made


def failed(error: Exception) -> logging.LogRecord:
    """Make a record as ``logger.exception`` does."""
    made = record("call failed")
    try:
        raise error
    except type(error) as caught:
        made.exc_info = (type(caught), caught, caught.__traceback__)
    return made


def test_a_console_line_has_its_fields_behind_the_message() -> None:
    """People read the message first."""
    line = ConsoleFormatter().format(record(attempts=2))
    assert line.endswith("Z WARNING headrace.mill: batch given back attempts=2")


def test_a_json_line_is_one_object_whatever_stands_in_it() -> None:
    """Line breaks are escaped, and what JSON has no type for is spelt."""
    line = JsonFormatter().format(record(key="a\nb", where={1, 2}, level="no"))
    assert "\n" not in line
    read = json.loads(line)
    assert (read["message"], read["level"], read["logger"]) == (
        "batch given back", "warning", "headrace.mill",
    )  # fmt: skip
    assert (read["key"], read["where"]) == ("a\nb", "{1, 2}")
    assert read["time"].endswith("Z")


async def test_bound_ids_are_told_also_in_tasks_and_threads() -> None:
    """Whoever logs below a batch need not be told which one it is."""

    async def line() -> str:
        await asyncio.sleep(0)
        return await asyncio.to_thread(JsonFormatter().format, record(batch="b2"))

    with bound(job="j1"), bound(batch="b1"):
        task = asyncio.create_task(line())
    read = json.loads(await task)
    assert (read["job"], read["batch"]) == ("j1", "b2")
    assert "job" not in json.loads(await line())


@pytest.mark.parametrize("formatter", [ConsoleFormatter(), JsonFormatter()])
def test_a_strangers_error_is_told_without_its_message(formatter: logging.Formatter) -> None:
    """It may quote the text that it was given, or a key."""
    error = TransientError("embed failed: ValueError")
    error.__cause__ = ValueError("sk-s3cret")
    line = formatter.format(failed(error))
    assert "s3cret" not in line
    assert "embed failed: ValueError" in line
    assert "builtins.ValueError" in line
    assert "test_logs.py:" in line
    assert "s3cret" not in formatter.format(failed(ValueError("sk-s3cret")))


def test_lines_that_repeat_are_counted_instead() -> None:
    """Twenty a minute of a kind; the next minute's first tells how many there were more."""
    now = [0.0]
    repeats = Repeats(lambda: now[0])
    assert sum(repeats.filter(record(batch=str(n))) for n in range(1_000)) == BURST
    assert repeats.filter(record("another kind"))
    now[0] = 61.0
    later = record()
    assert repeats.filter(later)
    assert later.suppressed == 1_000 - BURST  # type: ignore[attr-defined]


def test_errors_always_pass() -> None:
    """Who looks for a failure finds each."""
    repeats = Repeats(lambda: 0.0)
    wrong = record()
    wrong.levelno = logging.ERROR
    assert all(repeats.filter(wrong) for _ in range(3 * BURST))


def test_the_level_and_the_form_are_as_set(capsys: pytest.CaptureFixture[str]) -> None:
    """``log_level`` and ``log_format`` do what they say."""
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        configure_logs("warning", "json")
        logging.getLogger("headrace.mill").info("quiet")
        logging.getLogger("headrace.mill").warning("loud", extra={"event": "flood"})
    finally:
        logging.getLogger().handlers[:], level = before
        logging.getLogger().setLevel(level)
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "flood"
