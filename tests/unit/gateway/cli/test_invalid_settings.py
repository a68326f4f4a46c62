"""Settings that can't be used, as a user reads it: a line each, and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app

RUNNER = CliRunner()
TOO_LARGE = "a number less than or equal to 65535"
A_LIST = 'a list in JSON, like \'["a", "b"]\''
LIBRARY = ("pydantic", "validation error", "input_value", "type=", "Settings")
TASKS = {"FLIGHTLOG_RETRY_BACKOFF": "2s", "FLIGHTLOG_OOM_MEMORY_FACTOR": "2"}


def refusal(env: dict[str, str], *words: str) -> list[str]:
    """Return the lines of the refusal, which doesn't name the library."""
    done = RUNNER.invoke(app, [*(words or ("status",))], env=env)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert [word for word in LIBRARY if word in done.stderr] == []
    first, *others = done.stderr.splitlines()
    return [first.removeprefix("Invalid configuration: "), *map(str.strip, others)]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("GRPC_PROT", "1", "isn't a setting; did you mean FLIGHTLOG_GRPC_PORT?"),
        ("HTTP_PORT", "70000", f": Expected {TOO_LARGE}, but got '70000'"),
        ("LOG__BATCH_MAX", "many", ": Expected a valid integer, but got 'many'"),
        ("PLUGIN", "magic", ": Expected 'process' or 'echo', but got 'magic'"),
        ("DOMAINS", "one", f": Expected {A_LIST}, but got 'one'"),
        ("LOG", "3", ": Expected a table, in a variable as JSON, but got 3"),
        ("LOG", '{"bach": 1}', " (bach) isn't a setting; did you mean log.batch_max?"),
        ("S3", '{"secret_key": 123}', " (secret_key): Expected a valid string"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("words", [("status",), ("up",), ("start", "runner")])
def test_a_variable(
    name: str, value: str, expected: str, words: tuple[str, ...]
) -> None:
    """Every command says which variable, and what is expected of it."""
    variable = f"FLIGHTLOG_{name}"
    (line,) = refusal(TASKS | {variable: value}, *words)
    assert f"{variable}{'' if expected[0] in ': ' else ' '}{expected}" == line


def test_settings_in_the_file(tmp_path: Path) -> None:
    """Each line names the setting and the file, and no secret."""
    file = tmp_path / "my.toml"
    file.write_text(
        "htp_port = 1\nbootstrap_servers = 'a'\npostgres = 1\n"
        "[log]\nbatch_max = 0\n[s3]\nsecret_key = 12345\naccess_key = 6\n"
    )
    lines = refusal({"FLIGHTLOG_CONFIG": str(file)})
    near = "did you mean kafka.bootstrap_servers?"
    misplaced = f"bootstrap_servers in {file} isn't a setting; {near}"
    assert {
        f"htp_port in {file} isn't a setting; did you mean http_port?",
        misplaced,
        f"postgres in {file}: Expected a valid string",
        f"log.batch_max in {file}: Expected a number greater than 0, but got 0",
        f"s3.secret_key in {file}: Expected a valid string",
        f"s3.access_key in {file}: Expected a valid string, but got 6",
    } == set(lines)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "but there is none"),
        (b"a = \n", "but: Invalid value (at line 1, column 5)"),
        (b"host = '\xff'", "but: it isn't UTF-8 from byte 8 on"),
    ],
)
def test_a_file_that_is_no_toml(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    """The refusal names the file and the variable that names it."""
    file = tmp_path / "my.toml"
    if content is not None:
        file.write_bytes(content)
    (line,) = refusal({"FLIGHTLOG_CONFIG": str(file)})
    assert f"Expected a TOML file at {file} (FLIGHTLOG_CONFIG), {why}" == line


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    """What can't be read is told as such."""
    (line,) = refusal({"FLIGHTLOG_CONFIG": str(tmp_path)})
    assert line.endswith("but: it can't be read: Is a directory")


def test_a_renamed_setting_names_the_file(tmp_path: Path) -> None:
    """An old name is refused with the new one and the file."""
    file = tmp_path / "my.toml"
    file.write_text("[kafka]\nservers = 'a'\n")
    (line,) = refusal({"FLIGHTLOG_CONFIG": str(file)})
    new = "'kafka.servers' is 'kafka.bootstrap_servers' now"
    assert f"Renamed settings: {new} (in {file})" == line
