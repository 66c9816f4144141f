from collections.abc import Sequence
from pathlib import Path

import typer

from pipeline.class_names import check_class_names
from pipeline.engines.files.yaml_text import read_text
from pipeline.errors import ModelError


def read_class_names(
    listed: str | None, single: Sequence[str] | None, file: Path | None
) -> list[str] | None:
    """Return the class names that --classes, --class or --classes-file give; None without any.

    Raise typer.BadParameter (exit code 2).
    """
    if sum(map(bool, (listed is not None, single, file is not None))) > 1:
        raise typer.BadParameter("give one of --classes, --class and --classes-file")
    try:
        if listed is not None:
            names = [name.strip() for name in listed.split(",")]
        elif single:
            names = [name.strip() for name in single]
        elif file is not None:
            names = [name.strip() for name in read_text(file)[0].rstrip().splitlines()]
        else:
            return None
        check_class_names(names)
    except ModelError as error:
        raise typer.BadParameter(str(error)) from error
    return names
