"""A log for tests of code that takes Dagster's log."""


class RecordedLog:
    """Records the messages of `info` and `warning`."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)

    def warning(self, message: str) -> None:
        self.lines.append(message)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)
