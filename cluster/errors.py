from pipeline.errors import ServiceError


class StackError(ServiceError):
    """The one-machine stack did not start, or has ended.

    `str(error)` is one line, `log` the lines that explain it. `exit_status` is the command's: 2
    where something impossible was asked for, else 1.
    """

    def __init__(self, message: str, log: str = "", exit_status: int = 1) -> None:
        super().__init__(message)
        self.log = log
        self.exit_status = exit_status
