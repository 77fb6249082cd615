"""Registered models as base weights: `models:/name/version` or `models:/name@alias` to a folder on this machine."""

import os
from pathlib import Path
from typing import Any

from trainer.errors import BaseModelError
from trainer.names import Env


def local_version(uri: str, out_dir: Path) -> Path:
    """The folder of a model version: its checkpoint where it was trained, else a copy fetched from the server.

    Args:
        uri: `models:/name/version` or `models:/name@alias`.
        out_dir: folder of task directories; fetched copies go to `.cache/models` in it.

    Raises:
        BaseModelError: there is no such version, or the tracking server does not answer.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    server = os.environ.get(Env.TRACKING_URI)
    if not server:
        raise BaseModelError(f"{uri} needs a tracking server.", f"Set {Env.TRACKING_URI}, or name the folder itself.")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    try:
        version = _find(MlflowClient(server), uri)
    except MlflowException as error:
        hint = "`minimind models` lists the versions that there are."
        raise BaseModelError(f"{uri} cannot be found in the registry: {str(error)[:200]}.", hint) from None
    path = (version.source or "").split(f"runs:/{version.run_id}/")[-1]
    trained = out_dir / (version.run_id or "-") / path
    if (trained / "config.json").is_file():
        return trained
    return _fetch(version, out_dir)


def _find(client: Any, uri: str) -> Any:
    rest = uri.removeprefix("models:/")
    if "@" in rest:
        name, alias = rest.rsplit("@", 1)
        return client.get_model_version_by_alias(name, alias)
    name, _, number = rest.rpartition("/")
    if not name or not number.isdigit():
        raise BaseModelError(f"{uri} is not of the form models:/name/version or models:/name@alias.")
    return client.get_model_version(name, number)


def _fetch(version: Any, out_dir: Path) -> Path:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    target = out_dir / ".cache" / "models" / version.name / str(version.version)
    target.mkdir(parents=True, exist_ok=True)
    try:
        return Path(download_artifacts(artifact_uri=version.source, dst_path=str(target)))
    except (MlflowException, OSError) as error:
        raise BaseModelError(
            f"The files of {version.name} version {version.version} cannot be fetched: {str(error)[:200]}"
        ) from None
