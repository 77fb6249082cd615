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
    """Database of the queue. Empty: SQLite in mlruns/app.db."""
    study_url: str = ""
    """Database of Optuna's studies, which hold the trials of sweeps. Empty: SQLite in mlruns/optuna.db."""
    data_roots: tuple[str, ...] = ()
    """More folders, beside dataset/ and out/, that data and weights may be read from."""
    allowed_hosts: tuple[str, ...] = ()
    """More host names, beside localhost, under which a browser may reach the web app."""
    cpu_slots: int = 1
    """Trainings that may run on the CPU at the same time."""
    stop_grace_seconds: int = 120
    """How long a stopped training may take to save its checkpoint before it is killed."""
    max_restarts: int = 3
    """How often a training that was lost with its process is resumed by itself."""
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
        return replace(cls(home=home), **(values | {"home": home}))

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
        return self.database_url or f"sqlite:///{self.mlruns_dir / 'app.db'}"

    @property
    def studies(self) -> str:
        """URL of the database of Optuna's studies."""
        return self.study_url or f"sqlite:///{self.mlruns_dir / 'optuna.db'}"

    @property
    def tracking(self) -> str:
        """URL of the tracking server, as clients use it."""
        return self.tracking_uri or f"http://127.0.0.1:{self.tracking_port}/mlflow"

    def task_dir(self, task_id: str) -> Path:
        """Folder of one task's config, log, metrics and checkpoints."""
        return self.out_dir / task_id


RANGES = {
    "port": (1, 65_535),
    "tracking_port": (1, 65_535),
    "cpu_slots": (0, None),
    "stop_grace_seconds": (0, None),
    "max_restarts": (0, None),
    "log_limit_mb": (1, None),
}
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
        if kind == "tuple[str, ...]" or kind == tuple[str, ...]:
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(str(part).strip() for part in parts if str(part).strip())
    except (TypeError, ValueError):
        raise PlatformError(f"{name} in {source} must be a whole number, got {value!r}.") from None
    return Path(value) if name == "home" else str(value)


def _in_range(name: str, value: int, source: str) -> int:
    least, most = RANGES[name]
    if value < least or (most is not None and value > most):
        wanted = f"from {least} to {most}" if most is not None else f"{least} or more"
        raise PlatformError(f"{name} in {source} must be {wanted}, got {value}.")
    return value
