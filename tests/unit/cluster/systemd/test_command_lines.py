"""Each command line of the units is read by the program that it is for, without running it."""

import os
import subprocess

import click
import pytest
import typer
from django.core.management import get_commands, load_command_class

from cluster.cli.main import app
from tests.unit.cluster.systemd.units import SIZES, arguments, read_units, variables

VALUES = variables(SIZES.read_text())
MANAGE = ["-m", "gateway.manage"]


def command_lines() -> list[tuple[str, list[str]]]:
    return [
        (unit.name, arguments(command, VALUES))
        for unit in read_units().values()
        for command in unit.commands
    ]


def of_program(program: str) -> list[list[str]]:
    """Return the arguments of each command line of a program."""
    lines = [line[1:] for _, line in command_lines() if line[0].endswith(f"/{program}")]
    assert lines
    return lines


def parse(command: click.Command, line: list[str]) -> dict[str, object]:
    """Return the parameters. Raise click.ClickException for a wrong command line."""
    return command.make_context("command", list(line)).params


def test_uvicorn_accepts_options_of_systemd_unit():
    from uvicorn.main import main

    (line,) = of_program("uvicorn")
    parameters = parse(main, line)
    assert (parameters["fd"], parameters["workers"], parameters["access_log"]) == (3, 1, False)
    with pytest.raises(click.NoSuchOption):
        parse(main, [*line, "--no-acces-log"])


def test_ray_takes_command_lines():
    from ray.scripts.scripts import start

    head, worker = (parse(start, line[1:]) for line in of_program("ray"))
    assert [line[0] for line in of_program("ray")] == ["start", "start"]
    assert (head["head"], head["port"], head["block"]) == (True, 6380, True)
    assert (worker["head"], worker["address"]) == (False, "10.0.0.1:6380")
    assert {head["metrics_export_port"], worker["metrics_export_port"]} == {8090}
    with pytest.raises(click.NoSuchOption):
        parse(start, ["--head", "--metric-export-port=8090"])


def test_deploy_takes_command_line():
    ((name, *line),) = of_program("lesionserve")
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    parameters = group.commands[name].make_context(name, line).params
    assert str(parameters["bundle"]) == VALUES["LESIONSERVE_BUNDLE"]


def test_gateway_commands_take_command_lines():
    lines = of_program("python")
    assert len(lines) == 3
    for line in lines:
        assert line[:2] == MANAGE
        name = line[2]
        parser = load_command_class(get_commands()[name], name).create_parser("manage", name)
        parser.parse_args(line[3:])  # ends the process for a wrong one
    assert sorted(line[2] for line in lines) == ["backup", "clearsessions", "prune_audit"]


@pytest.mark.parametrize(("retention", "status"), [("365", 0), ("", 1), (None, 1)])
def test_pruning_runs_only_with_retention(retention, status):
    (line,) = [line for _, line in command_lines() if line[0] == "/bin/sh"]
    environment = {"PATH": os.environ["PATH"]}
    if retention is not None:
        environment["LESIONSERVE_RETENTION_DAYS"] = retention
    assert subprocess.run(line, env=environment, timeout=30).returncode == status


def test_old_sessions_of_ray_are_removed(tmp_path):
    lines = of_program("find")
    assert lines[0] == lines[1]
    for name in ("session_2026-01-01_1", "session_2026-11-26_2", "session_latest", "other"):
        (tmp_path / name / "logs").mkdir(parents=True)
        if name != "session_2026-11-26_2":
            os.utime(tmp_path / name, (0, 0))
    command = ["find", str(tmp_path), *lines[0][1:]]
    subprocess.run(command, check=True, timeout=30)
    assert not (tmp_path / "session_2026-01-01_1").exists()
    assert len(list(tmp_path.iterdir())) == 3
