import logging

import structlog


def serve_logger() -> structlog.stdlib.BoundLogger:
    """Ray Serve's own logger, which writes JSON with the request's id, the deployment and the
    replica; named values become fields of the line."""
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger("ray.serve"),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            structlog.stdlib.render_to_log_kwargs,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger
