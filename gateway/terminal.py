"""The base of the management commands, whose output cannot control the terminal."""

from typing import IO, Any, Literal

from django.core.management.base import BaseCommand

from pipeline.text import printable


class Command(BaseCommand):
    """A management command that escapes control characters in everything it writes.

    It does not run Django's checks, for which every page would be loaded: half of its time. The
    server and `migrate` run them.
    """

    requires_system_checks: tuple[str, ...] | Literal["__all__"] = ()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for wrapper in (self.stdout, self.stderr):
            stream = Escaping(wrapper._out)  # type: ignore[arg-type]  # not in the stubs
            wrapper._out = stream  # type: ignore[attr-defined]  # not in the stubs
        # Hints go there as well as errors, and the escaping would show a colour as text.
        self.stderr.style_func = None

    def execute(self, *args: Any, **options: Any) -> str | None:
        for name in ("stdout", "stderr"):
            if options.get(name):
                options[name] = Escaping(options[name])
        return super().execute(*args, **options)


class Escaping:
    """A text stream that escapes control characters, except tabs and the end of each line."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        line = text.removesuffix("\n")
        end = text[len(line) :]
        return self._stream.write(printable(line, keep="\t") + end)
