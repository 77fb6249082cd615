"""Where the platform keeps its data and how it is reached. From the command line, then MINIMIND_* variables, then
`minimind.toml` in the home folder, then the defaults.

    settings = Settings.load(home="/data/minimind", port=8051)
"""

import os
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from minimind_platform.errors import PlatformError

SETTINGS_FILE = "minimind.toml"


@dataclass(frozen=True)
class Settings:
    """Everything about one installation. A docstring under a field is its line in docs/configuration.md."""

    home: Path = field(default_factory=Path.cwd)
    """Folder with `dataset/`, `mlruns/` and `out/`."""
    host: str = "127.0.0.1"
    """Address that the web app listens on: 127.0.0.1, localhost or ::1."""
    port: int = 8050
    """Port of the web app."""
    tracking_port: int = 5000
    """Port of the tracking server, on 127.0.0.1."""
    tracking_uri: str = ""
    """Tracking server to use. Empty: the one that `minimind up` starts."""
    database_url: str = ""
    """Database of the queue, such as postgresql://user@host/name. Empty: SQLite in mlruns/app.db."""
    study_url: str = ""
    """Database of Optuna's studies, which hold the trials of sweeps. Empty: SQLite in mlruns/optuna.db."""
    tracking_database_url: str = ""
    """Database of the tracking server that `minimind up` starts. Empty: SQLite in mlruns/tracking.db."""
    database_password_file: str = ""
    """File with the password for those of the three that are PostgreSQL and name none in their URL."""
    data_roots: tuple[str, ...] = ()
    """More folders, beside dataset/ and out/, that data and weights may be read from."""
    allowed_hosts: tuple[str, ...] = ()
    """More host names, beside localhost, under which a browser may reach the web app."""
    in_container: bool = False
    """Listen on all addresses of a container. Publish its port on 127.0.0.1 only: there are no users and passwords."""
    cpu_slots: int = 1
    """Trainings that may run on the CPU at the same time."""
    stop_grace_seconds: int = 120
    """How long a stopped training may take to save its checkpoint before it is killed."""
    max_restarts: int = 3
    """How often a training that was lost with its process is resumed by itself."""
    trash_days: int = 0
    """After how many days in the trash tasks and sweeps are removed for good by themselves. 0: never."""
    webhook_url: str = ""
    """Where to send what the watchdog finds: POST with JSON (task, task_name, type, state, name, text, step, t)."""
    log_limit_mb: int = 200
    """Largest size of a task's log; it is cut in the middle beyond that."""

    @classmethod
    def load(cls, **overrides: Any) -> "Settings":
        """Read the settings.

        Args:
            overrides: values from the command line; None means not given.

        Raises:
            PlatformError: an unknown key or a value of the wrong kind, with its source.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        home = Path(given.get("home") or os.environ.get("MINIMIND_HOME") or Path.cwd()).expanduser().resolve()
        values: dict[str, Any] = {}
        for source, raw in ((str(home / SETTINGS_FILE), _from_file(home)), ("environment", _from_environment())):
            values |= {name: _convert(name, value, source) for name, value in raw.items()}
        values |= {name: _convert(name, value, "command line") for name, value in given.items()}
        settings = replace(cls(home=home), **(values | {"home": home}))
        settings._refuse_shared_databases()
        if settings.webhook_url and not settings.webhook_url.startswith(("http://", "https://")):
            raise PlatformError("webhook_url must begin with http:// or https://.")
        return settings

    @property
    def data_dir(self) -> Path:
        """Training data."""
        return self.home / "dataset"

    @property
    def out_dir(self) -> Path:
        """Task directories and MiniMind weight files."""
        return self.home / "out"

    @property
    def mlruns_dir(self) -> Path:
        """Databases and artifacts."""
        return self.home / "mlruns"

    @property
    def artifacts_dir(self) -> Path:
        """Folder behind the tracking server's artifact store."""
        return self.mlruns_dir / "artifacts"

    @property
    def database(self) -> str:
        """URL of the queue's database."""
        return self._database(self.database_url, "app.db")

    @property
    def studies(self) -> str:
        """URL of the database of Optuna's studies."""
        return self._database(self.study_url, "optuna.db")

    @property
    def tracking_database(self) -> str:
        """URL of the tracking server's database, if it is ours."""
        return self._database(self.tracking_database_url, "tracking.db")

    @property
    def tracking(self) -> str:
        """URL of the tracking server, as clients use it."""
        return self.tracking_uri or f"http://127.0.0.1:{self.tracking_port}/mlflow"

    def _database(self, url: str, file: str) -> str:
        """A database's URL with its password.

        Raises:
            PlatformError: the password cannot be read.
        """
        if not url:
            return f"sqlite:///{self.mlruns_dir / file}"
        if not self.database_password_file or not url.startswith("postgresql"):
            return url
        from sqlalchemy.engine import make_url

        address = make_url(url)
        if address.password is not None:
            return url
        try:
            password = (self.home / self.database_password_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise PlatformError(f"The database_password_file cannot be read: {error}.") from None
        return address.set(password=password).render_as_string(hide_password=False)

    def _refuse_shared_databases(self) -> None:
        """Each of the three keeps the number of its version in a table of the same name."""
        urls = [url for url in (self.database_url, self.study_url, self.tracking_database_url) if url]
        if len(set(urls)) < len(urls):
            raise PlatformError(
                "database_url, study_url and tracking_database_url must name three databases, not one twice.",
                "On one PostgreSQL server make three: CREATE DATABASE minimind; CREATE DATABASE studies; …",
            )

    def task_dir(self, task_id: str) -> Path:
        """Folder of one task's config, log, metrics and checkpoints."""
        return self.out_dir / task_id


RANGES = {
    "port": (1, 65_535),
    "tracking_port": (1, 65_535),
    "cpu_slots": (0, None),
    "stop_grace_seconds": (0, None),
    "max_restarts": (0, None),
    "trash_days": (0, None),
    "log_limit_mb": (1, None),
}
_BOOLS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_KINDS = {f.name: f.type for f in fields(Settings)}


def _from_file(home: Path) -> dict[str, Any]:
    path = home / SETTINGS_FILE
    if not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlatformError(f"{path} is not valid TOML: {error}") from None


def _from_environment() -> dict[str, Any]:
    known = {f"MINIMIND_{name.upper()}": name for name in _KINDS}
    return {known[key]: value for key, value in os.environ.items() if key in known and value != ""}


def _convert(name: str, value: Any, source: str) -> Any:
    if name not in _KINDS:
        raise PlatformError(f"Unknown setting {name!r} in {source}; known are {', '.join(sorted(_KINDS))}.")
    kind = _KINDS[name]
    try:
        if kind == "int" or kind is int:
            return _in_range(name, int(value), source)
        if kind == "bool" or kind is bool:
            return _BOOLS[str(value).lower()]
        if kind == "tuple[str, ...]" or kind == tuple[str, ...]:
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(str(part).strip() for part in parts if str(part).strip())
    except KeyError:
        raise PlatformError(f"{name} in {source} must be true or false, got {value!r}.") from None
    except (TypeError, ValueError):
        raise PlatformError(f"{name} in {source} must be a whole number, got {value!r}.") from None
    return Path(value) if name == "home" else str(value)


def _in_range(name: str, value: int, source: str) -> int:
    least, most = RANGES[name]
    if value < least or (most is not None and value > most):
        wanted = f"from {least} to {most}" if most is not None else f"{least} or more"
        raise PlatformError(f"{name} in {source} must be {wanted}, got {value}.")
    return value
