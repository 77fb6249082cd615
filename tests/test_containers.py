"""docker-compose.yml and the Dockerfile fit the program: settings, commands, ports, versions."""

import re
import shutil
import subprocess
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from minimind_platform.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
OURS = ("mlflow", "scheduler", "scheduler-gpu", "web")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def test_every_setting_in_it_exists(compose: dict[str, Any]) -> None:
    known = {f"MINIMIND_{field.name.upper()}" for field in fields(Settings)}
    for name in OURS:
        assert compose["services"][name]["environment"].keys() <= known
    in_image = set(re.findall(r"\bMINIMIND_\w+", (ROOT / "Dockerfile").read_text()))
    assert in_image and in_image <= known


def test_its_settings_are_those_of_one_platform(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in compose["services"]["mlflow"]["environment"].items():
        monkeypatch.setenv(key, re.sub(r"\$\{\w+:-(.*)\}", r"\1", value))
    settings = Settings.load()
    assert settings.in_container and settings.tracking == f"http://mlflow:{settings.tracking_port}/mlflow"
    assert f"mlflow:{settings.tracking_port}" in settings.allowed_hosts
    assert compose["services"]["web"]["ports"] == [f"127.0.0.1:${{WEB_PORT:-8050}}:{settings.port}"]
    made = set(re.findall(r"CREATE DATABASE (\w+)", (ROOT / "docker/databases.sql").read_text()))
    made.add(compose["services"]["postgres"]["environment"]["POSTGRES_DB"])
    urls = (settings.database_url, settings.study_url, settings.tracking_database_url)
    assert {url.rpartition("/")[2] for url in urls} == made


def test_every_command_is_a_module(compose: dict[str, Any]) -> None:
    for name in OURS:
        python, flag, module = compose["services"][name]["command"]
        assert (python, flag) == ("python", "-m") and find_spec(module)


def test_services_are_healthy_restarted_pinned_and_not_root(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["healthcheck"]["test"] and service["restart"] == "unless-stopped"
        assert re.search(r":\d+\.\d+", service["image"])
        assert service["secrets"] == ["postgres_password"]
        assert not re.search("password: ", str(service["environment"]).lower())
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or source.startswith((".", "$"))
        if "python" in service["healthcheck"]["test"]:
            compile(service["healthcheck"]["test"][-1], "healthcheck", "exec")
    assert compose["services"]["postgres"]["user"] == "postgres"
    assert re.search(r"^USER minimind$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_the_image_is_that_of_the_project(compose: dict[str, Any]) -> None:
    dockerfile, project = (ROOT / "Dockerfile").read_text(), (ROOT / "pyproject.toml").read_text()
    [version] = re.findall(r'^version = "(.*)"', project, re.MULTILINE)
    assert compose["services"]["web"]["image"].endswith(f":{version}")
    [torch] = re.findall(r"^version=(\S+)", (ROOT / "tools/install.sh").read_text(), re.MULTILINE)
    assert f"TORCH_VERSION={torch}" in dockerfile
    [server] = re.findall(r"postgres:(\d+)", compose["services"]["postgres"]["image"])
    assert f"postgresql-client-{server}" in dockerfile  # pg_dump refuses a newer server
    for source in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE):
        assert all((ROOT / name).exists() for name in source.split())


def test_the_example_of_an_environment_names_what_is_read(compose: dict[str, Any]) -> None:
    read = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    example = set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert read == example - {"COMPOSE_PROFILES"}


def test_docker_reads_it() -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    command = [docker, "compose", "--profile", "cpu", "--profile", "gpu", "config", "--quiet"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stderr == ""
