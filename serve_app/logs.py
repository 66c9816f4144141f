import logging

import structlog

from pipeline.tracing.spans import add_trace_id


def serve_logger() -> structlog.stdlib.BoundLogger:
    """Return Ray Serve's logger, which writes one JSON object a line.

    Each has the request's id, the deployment and the replica, and the `trace_id` of a traced
    request; named values become fields of it.
    """
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger("ray.serve"),
        processors=[
            structlog.stdlib.filter_by_level,
            add_trace_id,
            structlog.processors.format_exc_info,
            structlog.stdlib.render_to_log_kwargs,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger
