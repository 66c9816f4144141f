"""The gateway's log: JSON, one object a line, whoever writes it.

JSON escapes line breaks, so that nothing a client sends can forge a line. Each line about a request
carries the `request_id` that the client was told. What is logged of a request is what its record
holds; never an image, a file name, a header or a body.
"""

import zlib
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


class Sampler:
    """Drop the lines of all but a share of the requests; warnings and errors always stay.

    By the request's id, so that of one request all lines stay or none.
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
    """Set structlog up, and return Django's LOGGING for everybody else's lines."""
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
            # httpx logs each request with its URL, on top of our own line.
            "httpx": {"level": "WARNING"},
            "axes": {"level": "WARNING"},
            # These tell addresses with their queries, and hosts, as a client sent them: a key or
            # a name may be in there. What was refused has its own line and its record.
            "uvicorn.access": {"handlers": [], "level": "CRITICAL", "propagate": False},
            "django.request": {"level": "ERROR"},
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            "django": own_handler,
            "uvicorn": own_handler,
            "uvicorn.error": {"handlers": [], "level": level, "propagate": True},
        },
    }
