import json
import logging
import logging.config
from collections.abc import Iterator

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from gateway.logs import configure


@pytest.fixture
def lines(capsys) -> Iterator[object]:
    """What is written to stderr from here on, a parsed line each."""
    before = structlog.get_config()

    def start(share: float = 1.0) -> None:
        # A logger that was used before keeps its old settings.
        structlog.reset_defaults()
        logging.config.dictConfig(configure("INFO", share))

    def read() -> list[dict[str, object]]:
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    read.start = start  # type: ignore[attr-defined]
    yield read
    structlog.configure(**before)
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})


def test_log_line_is_json_object_with_request_id(lines):
    lines.start()
    with bound_contextvars(request_id="an id"):
        structlog.stdlib.get_logger("ours").info("request", status=200)
        logging.getLogger("django.request").error("Bad Gateway: %s", "/x")
    own, foreign = lines()
    assert (own["event"], own["status"], own["request_id"], own["level"]) == (
        "request",
        200,
        "an id",
        "info",
    )
    assert (foreign["event"], foreign["request_id"]) == ("Bad Gateway: /x", "an id")
    assert own["timestamp"].endswith("Z")


@pytest.mark.parametrize("text", ["a\r\nb", "a\u2028b", 'a", "level": "info', "\x1b[31mred", "\0"])
def test_log_text_cannot_forge_line_or_field(lines, text):
    lines.start()
    logging.getLogger("django.request").error("Bad path: %s", text)
    structlog.stdlib.get_logger("ours").warning("odd", path=text)
    foreign, own = lines()
    assert foreign["event"] == f"Bad path: {text}"
    assert (own["path"], own["level"]) == (text, "warning")


def test_traceback_is_one_line(lines):
    lines.start()
    try:
        raise ValueError("a fault")
    except ValueError:
        structlog.stdlib.get_logger("ours").exception("it failed")
    (line,) = lines()
    assert "ValueError: a fault" in line["exception"]


def test_sampler_keeps_every_line_of_sampled_requests(lines):
    lines.start(share=0.25)
    logger = structlog.stdlib.get_logger("ours")
    for number in range(400):
        with bound_contextvars(request_id=f"request {number}"):
            logger.info("first")
            logger.info("second")
            logger.warning("odd")
    entries = lines()
    ids = {line["request_id"] for line in entries if line["event"] == "first"}
    assert 60 < len(ids) < 140
    assert ids == {line["request_id"] for line in entries if line["event"] == "second"}
    assert sum(line["event"] == "odd" for line in entries) == 400
