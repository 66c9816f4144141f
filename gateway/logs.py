"""The gateway's log: one JSON object a line, for every logger.

JSON escapes line breaks, so that no client's input can forge a line. Each line about a request has
the `request_id` of its answer, and the `trace_id` if it is traced. A line holds no more of a
request than its record does: never an image, a file name, a header or a body.
"""

import zlib
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from pipeline.tracing.spans import add_trace_id

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    add_trace_id,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


class Sampler:
    """Keep the log lines of a share of the requests; warnings and errors always stay.

    The choice depends on the request's id, so a request has either all of its lines or none.
    """

    def __init__(self, share: float) -> None:
        self._below = share * 2**32

    def __call__(self, logger: Any, method: str, event: EventDict) -> EventDict:
        request_id = event.get("request_id")
        routine = method in ("debug", "info")
        if routine and request_id is not None and zlib.crc32(request_id.encode()) >= self._below:
            raise structlog.DropEvent
        return event


def configure(level: str, share: float) -> dict[str, Any]:
    """Configure structlog, and return Django's LOGGING, which covers all other loggers.

    share: of the requests, those whose lines of level INFO and below are kept.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            Sampler(share),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": _SHARED,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    }
    own_handler = {"handlers": ["stderr"], "level": level, "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # httpx logs each request with its URL, in addition to our own line.
            "httpx": {"level": "WARNING"},
            "axes": {"level": "WARNING"},
            # These loggers write addresses with their queries, and hosts, as a client sent them:
            # there may be a key or a name in them. Each refused request has a line and a record of
            # its own.
            "uvicorn.access": {"handlers": [], "level": "CRITICAL", "propagate": False},
            "django.request": {"level": "ERROR"},
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            "django": own_handler,
            "uvicorn": own_handler,
            "uvicorn.error": {"handlers": [], "level": level, "propagate": True},
        },
    }
