"""One engine for the session, its flows registered once by the real pyflyte."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flytekit.configuration import Config, DataConfig, PlatformConfig, S3Config
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.data_persistence import FileAccessProvider
from flytekit.remote import FlyteRemote

from tests.support.harness.distributed import Distributed, distributed
from tests.support.harness.engine_process import Running

AnEngine = Running | Distributed

PROJECT, DOMAIN, VERSION = "flytesnacks", "development", "v1"
FLOWS = Path(__file__).parent / "flows"


def pyflyte(
    engine: AnEngine, cwd: Path, *words: str
) -> subprocess.CompletedProcess[str]:
    """Run the real pyflyte against an engine."""
    config = cwd / f"flyte-{engine.grpc_port}.yaml"
    config.write_text(f"admin:\n  endpoint: {engine.endpoint}\n  insecure: true\n")
    return subprocess.run(
        [str(Path(sys.executable).parent / "pyflyte"), "-c", str(config), *words],
        cwd=cwd, capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "FLYTE_SDK_LOGGING_LEVEL": "40"},
    )  # fmt: skip


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnEngine]:
    """A fresh engine that runs tasks in warm processes.

    It is one process, or several: TESTS_ENGINE=distributed.
    """
    if os.environ.get("TESTS_ENGINE") == "distributed":
        folder = tmp_path_factory.mktemp("files")
        with distributed() as roles, reaching(roles, folder):
            yield roles
        return
    running = Running(tmp_path_factory.mktemp("engine") / "data")
    running.start()
    yield running
    running.stop()


def data_config(engine: AnEngine) -> DataConfig:
    """Return how an author's flytekit reaches files among outputs."""
    if not isinstance(engine, Distributed):
        return DataConfig.auto()
    s3 = engine.outside.s3
    return DataConfig(
        s3=S3Config(
            endpoint=s3.endpoint,
            access_key_id=s3.access_key,
            secret_access_key=s3.secret_key,
        )
    )


@contextmanager
def reaching(engine: AnEngine, folder: Path) -> Iterator[None]:
    """Let this process reach files as if it had been started with that said."""
    files = FileAccessProvider(
        str(folder), str(folder / "raw"), data_config=data_config(engine)
    )
    context = FlyteContextManager.current_context().with_file_access(files)
    with FlyteContextManager.with_context(context):
        yield


def register(engine: AnEngine, folder: Path, *files: str) -> None:
    """Copy flows to a folder, and register them as an author does it."""
    for file in files:
        shutil.copy(FLOWS / file, folder)
    done = pyflyte(
        engine, folder, "register", "-p", PROJECT, "-d", DOMAIN,
        "--version", VERSION, *files,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def client(engine: AnEngine) -> FlyteRemote:
    """Return the real client, as in Config.for_sandbox but for the port."""
    platform = PlatformConfig(endpoint=engine.endpoint, insecure=True)
    return FlyteRemote(
        Config(platform=platform, data_config=data_config(engine)),
        default_project=PROJECT,
        default_domain=DOMAIN,
        interactive_mode_enabled=False,
    )


@pytest.fixture(scope="session")
def project(engine: AnEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flows, registered as an author does it."""
    folder = tmp_path_factory.mktemp("project")
    register(engine, folder, *sorted(file.name for file in FLOWS.glob("*.py")))
    return folder


@pytest.fixture
def remote(engine: AnEngine, project: Path) -> FlyteRemote:
    """The real client, new for each test: flytekit uploads by the last one created."""
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))
    return client(engine)
