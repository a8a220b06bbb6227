"""One JSON object a line on stderr, ours and the libraries'. Ours go there directly: a line comes with every request."""

import logging
import sys

import structlog

COMMON: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]
RENDERED: list[structlog.typing.Processor] = [
    structlog.processors.EventRenamer("message"),
    structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
]


class Named(structlog.WriteLogger):
    def __init__(self, name: str) -> None:
        super().__init__(sys.stderr)
        self.name = name


def configure(level: str, **context: str) -> None:
    structlog.configure(
        processors=[*COMMON, *RENDERED],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=Named,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**context)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def formatter() -> structlog.stdlib.ProcessorFormatter:
    """For what libraries say."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*COMMON, structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, drop_colours, *RENDERED],
    )


def drop_colours(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """uvicorn says some things twice, once for terminals."""
    event.pop("color_message", None)
    return event


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger
