"""Settings: sources and their order, refusals, secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from domain.annotations import VARIABLES
from infra.renamed_settings import RENAMED
from infra.setting_names import TASK_VARIABLES, paths, variable
from infra.settings import PREFIX, InvalidSettingsError, Settings, load
from infra.task_environment import task_environment
from tests.architecture.repository import ROOT


def test_the_environment_reaches_every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """FLIGHTLOG_* names a setting, with two underscores between levels."""
    monkeypatch.setenv("FLIGHTLOG_HTTP_PORT", "1234")
    monkeypatch.setenv("FLIGHTLOG_PROCESS__CONCURRENCY", "7")
    monkeypatch.setenv("FLIGHTLOG_LOG_LEVEL", "debug")
    found = Settings()
    assert (found.http_port, found.process.concurrency) == (1234, 7)
    assert found.log_level == "DEBUG"


def test_options_win_over_the_environment_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The nearer to the user the stronger; parts of one level are merged."""
    file = tmp_path / "flightlog.toml"
    file.write_text("http_port = 1\ngrpc_port = 1\nhost = 'a'\n[log]\nbatch_max = 9\n")
    monkeypatch.setenv("FLIGHTLOG_CONFIG", str(file))
    monkeypatch.setenv("FLIGHTLOG_HTTP_PORT", "2")
    monkeypatch.setenv("FLIGHTLOG_GRPC_PORT", "2")
    monkeypatch.setenv("FLIGHTLOG_LOG__POLL_INTERVAL_S", "0.5")
    found = Settings(http_port=3)
    assert (found.http_port, found.grpc_port, found.host) == (3, 2, "a")
    assert (found.log.batch_max, found.log.poll_interval_s) == (9, 0.5)


def test_a_misspelt_setting_in_the_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The refusal names it, at any level."""
    file = tmp_path / "flightlog.toml"
    monkeypatch.setenv("FLIGHTLOG_CONFIG", str(file))
    for text, name in (("htp_port = 1\n", "htp_port"), ("[log]\nbach = 1\n", "bach")):
        file.write_text(text)
        with pytest.raises(ValidationError, match=name):
            Settings()


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_refused_with_the_new_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, old: str, new: str
) -> None:
    """In the environment and in the file; the new name is a setting."""
    section, dot, name = new.partition(".")
    fields = Settings.model_fields
    if dot:
        fields = getattr(fields[section].annotation, "model_fields", {})
    assert (name or section) in fields

    monkeypatch.setenv(variable(old, PREFIX), "1")
    with pytest.raises(ValidationError, match=f"is {variable(new, PREFIX)} now"):
        Settings()

    monkeypatch.delenv(variable(old, PREFIX))
    file = tmp_path / "flightlog.toml"
    section, dot, name = old.partition(".")
    file.write_text(f"[{section}]\n{name} = 1\n" if dot else f"{old} = 1\n")
    monkeypatch.setenv("FLIGHTLOG_CONFIG", str(file))
    with pytest.raises(ValidationError, match=f"'{old}' is '{new}' now"):
        Settings()


def test_the_changelog_has_every_renamed_setting() -> None:
    """Who upgrades finds the same table there."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    for old, new in RENAMED.items():
        assert f"| `{old}` | `{new}` |" in changelog


def test_a_file_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file that is named must exist."""
    monkeypatch.setenv("FLIGHTLOG_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(FileNotFoundError, match=r"none\.toml"):
        Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "70000"),
        ("LOG__POLL_INTERVAL_S", "0"),
        ("LOG_LEVEL", "loud"),
        ("PLUGIN", "magic"),
        ("LOG__BATCH_MAX", "many"),
    ],
)
def test_a_bound_that_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """A setting outside its bounds ends the start, not the work."""
    monkeypatch.setenv(f"FLIGHTLOG_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_settings_are_frozen() -> None:
    """Nobody changes them under way."""
    with pytest.raises(ValidationError):
        Settings().http_port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hush@db:5432/flightlog?sslmode=require",
        "postgresql://db/flightlog?user=me&password=hush&sslmode=require",
        "host=db password=hush",
    ],
)
def test_passwords_are_never_shown(url: str) -> None:
    """The settings' text doesn't have the password."""
    found = Settings(postgres=url)
    assert "hush" not in repr(found)
    assert "hush" not in str(found)


def test_tasks_do_not_get_the_engines_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What may hold a password stays with the engine."""
    monkeypatch.setenv("FLIGHTLOG_POSTGRES", "postgresql://me:hush@db/x")
    monkeypatch.setenv("MINE", "yes")
    found = task_environment(Settings())
    assert found["MINE"] == "yes"
    assert not [name for name in found if name.startswith("FLIGHTLOG_")]


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "127.0.0.1:4"), ("0.0.0.0", "127.0.0.1:4"), ("::", "[::1]:4")],
)
def test_tasks_are_told_where_the_engine_is(host: str, url: str) -> None:
    """They call back there, whatever addresses the engine listens on."""
    found = task_environment(Settings(host=host, grpc_port=4))
    assert found["FLYTE_PLATFORM_URL"] == url
    assert found["FLYTE_PLATFORM_INSECURE"] == "true"


def test_every_setting_says_what_it_is() -> None:
    """Each number has a description."""
    for path in paths(Settings):
        field = FieldInfo(annotation=Settings)
        for name in path:
            field = getattr(field.annotation, "model_fields", {})[name]
        is_section = hasattr(field.annotation, "model_fields")
        assert is_section or field.description, path


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("FLIGHTLOG_GRPC_PROT", "FLIGHTLOG_GRPC_PORT"),
        ("FLIGHTLOG_KAFKA_BOOTSTRAP_SERVERS", "FLIGHTLOG_KAFKA__BOOTSTRAP_SERVERS"),
        ("FLIGHTLOG_BOOTSTRAP_SERVERS", "FLIGHTLOG_KAFKA__BOOTSTRAP_SERVERS"),
        ("FLIGHTLOG_PROCES__CONCURRENCY", "FLIGHTLOG_PROCESS__CONCURRENCY"),
        ("FLIGHTLOG_LOG__LEVEL", "FLIGHTLOG_LOG_LEVEL"),
        ("flightlog_datadir", "FLIGHTLOG_DATA_DIR"),
        ("FLIGHTLOG_CONFIGS", ""),
    ],
)
def test_a_misspelt_variable_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, near: str
) -> None:
    """With the nearest name, also where an underscore or the section is missing."""
    monkeypatch.setenv(name, "1")
    hint = rf"did you mean {near}\?" if near else "isn't a setting"
    with pytest.raises(
        ValidationError, match=f"{name.upper()} isn't a .*{hint}|{hint}"
    ):
        Settings()


def test_variables_of_tasks_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task may run flightlog, and an engine may be started where they are set."""
    assert set(VARIABLES.values()) == TASK_VARIABLES
    for name in TASK_VARIABLES:
        monkeypatch.setenv(name, "2")
    assert Settings().grpc_port == 30080


def test_service_links_of_kubernetes_are_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of services flightlog, flightlog-gateway, and one named as a setting."""
    for service in ("FLIGHTLOG", "FLIGHTLOG_GATEWAY", "FLIGHTLOG_HTTP"):
        for name, value in {
            "SERVICE_HOST": "10.0.0.1",
            "SERVICE_PORT": "30080",
            "SERVICE_PORT_GRPC": "30080",
            "PORT": "tcp://10.0.0.1:30080",
            "PORT_30080_TCP": "tcp://10.0.0.1:30080",
            "PORT_30080_TCP_PROTO": "tcp",
            "PORT_30080_TCP_PORT": "30080",
            "PORT_30080_TCP_ADDR": "10.0.0.1",
        }.items():
            monkeypatch.setenv(f"{service}_{name}", value)
    assert Settings().http_port == 30081


def test_values_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """A section or a list is JSON; a variable of its own wins over its section's."""
    monkeypatch.setenv("FLIGHTLOG_LOG", '{"batch_max": 3, "records_max": 4}')
    monkeypatch.setenv("FLIGHTLOG_LOG__RECORDS_MAX", "5")
    monkeypatch.setenv("FLIGHTLOG_DOMAINS", '["one"]')
    found = Settings()
    assert (found.log.batch_max, found.log.records_max) == (3, 5)
    assert found.domains == ("one",)


def test_sections_inside_of_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their names are joined likewise, in the environment and in what is refused."""
    monkeypatch.setenv("FLIGHTLOG_NOTIFY__SLACK__URL", "https://here")
    monkeypatch.setenv("FLIGHTLOG_NOTIFY__EMAIL__TO", '["a@b.org"]')
    monkeypatch.setenv("FLIGHTLOG_NOTIFY__GIVE_UP_S", "60")
    found = load({}).notify

    assert found.slack.url.get_secret_value() == "https://here"
    assert found.email.to == ("a@b.org",)
    assert found.give_up_s == 60


@pytest.mark.parametrize(
    ("variable", "value", "wrong"),
    [
        ("NOTIFY__SLAK__URL", "x", "did you mean FLIGHTLOG_NOTIFY__SLACK__URL"),
        ("NOTIFY__EMAIL__PORT", "x", "FLIGHTLOG_NOTIFY__EMAIL__PORT: Expected"),
        ("NOTIFY__RULES", "[{}]", "FLIGHTLOG_NOTIFY__RULES: Expected"),
        ("NOTIFY__RULES", '[{"nam": 1}]', "FLIGHTLOG_NOTIFY__RULES"),
        ("NOTIFY__SLACK", '{"ur": "secret"}', "FLIGHTLOG_NOTIFY__SLACK (ur)"),
        ("NOTIFY", '{"slack": {"url": "secret"', "FLIGHTLOG_NOTIFY: Expected"),
        (
            "NOTIFY__CHANNELS",
            '{"a": {"slack": "secret"}}',
            "FLIGHTLOG_NOTIFY__CHANNELS",
        ),
    ],
)
def test_what_is_wrong_inside_of_sections(
    variable: str, value: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal names the variable, and no secret."""
    monkeypatch.setenv(f"FLIGHTLOG_{variable}", value)
    with pytest.raises(InvalidSettingsError) as raised:
        load({})

    assert wrong in str(raised.value)
    assert "secret" not in str(raised.value)
