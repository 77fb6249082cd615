"""The few calls that the platform makes to the tracking server, over MLflow's REST interface.

    tracking = TrackingClient(settings.tracking)
    tracking.get("runs/get", run_id=task.id)["run"]

MLflow's own client costs 1.5 s and 160 MB to import and waits minutes for a server that is away. Reads for a screen
and a command must answer in milliseconds or say within two seconds why they cannot.
"""

import os
import threading
import time
from typing import Any, BinaryIO

from minimind_platform.errors import NotFoundError, PlatformError, TrackingUnavailableError

READ_TIMEOUT = 2.0
WRITE_TIMEOUT = 10.0
UPLOAD_TIMEOUT = 60.0
ALIVE_SECONDS = 2.0
"""How long an answer about the server's life holds."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class TrackingClient:
    """One connection pool to the tracking server, for all threads."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._lock = threading.Lock()
        self._http: Any = None
        self._alive = (0.0, False)

    def get(self, call: str, timeout: float = READ_TIMEOUT, **params: Any) -> dict[str, Any]:
        """Read, such as `runs/get`.

        Raises:
            TrackingUnavailableError: the server does not answer in time.
            NotFoundError: there is no such thing.
        """
        return self._call("GET", call, timeout, params={k: v for k, v in params.items() if v is not None})

    def post(self, call: str, timeout: float = WRITE_TIMEOUT, **body: Any) -> dict[str, Any]:
        """Write, such as `runs/create`; errors as in `get`."""
        return self._call("POST", call, timeout, json=body)

    def send(self, method: str, call: str, **body: Any) -> dict[str, Any]:
        """Write with another method than POST, such as DELETE; errors as in `get`."""
        return self._call(method, call, WRITE_TIMEOUT, json=body)

    def delete_artifacts(self, artifact_uri: str) -> bool:
        """Remove all artifacts of a run; errors as in `get`.

        Returns:
            False if they do not go through the tracking server, so that they are still there.
        """
        scheme, _, folder = artifact_uri.partition(":")
        if scheme != "mlflow-artifacts":
            return False
        place = f"mlflow-artifacts/artifacts/{folder.rpartition('//')[2].strip('/')}"
        self._send("DELETE", f"{self.url}/api/2.0/{place}", place, UPLOAD_TIMEOUT)
        return True

    def put_artifact(self, artifact_uri: str, name: str, content: bytes | BinaryIO) -> bool:
        """Store an artifact of a run; errors as in `get`.

        Args:
            artifact_uri: of the run, as the server tells it.
            name: of the artifact.
            content: bytes, or an open file.

        Returns:
            False if the run's artifacts do not go through the tracking server, so that nothing was stored.
        """
        scheme, _, folder = artifact_uri.partition(":")
        if scheme != "mlflow-artifacts":
            return False
        place = f"mlflow-artifacts/artifacts/{folder.rpartition('//')[2].strip('/')}/{name}"
        self._send("PUT", f"{self.url}/api/2.0/{place}", place, UPLOAD_TIMEOUT, content=content)
        return True

    def alive(self) -> bool:
        """Whether the server answers; asked at most once in two seconds."""
        asked_at, answer = self._alive
        if time.monotonic() - asked_at < ALIVE_SECONDS:
            return answer
        # While one asks, which may take its time, the others have what was true a moment ago.
        if not self._lock.acquire(blocking=asked_at == 0.0):
            return answer
        try:
            if time.monotonic() - self._alive[0] >= ALIVE_SECONDS:
                self._alive = (time.monotonic(), self._healthy())
            return self._alive[1]
        finally:
            self._lock.release()

    def _healthy(self) -> bool:
        import httpx

        try:
            return self._client().get(f"{self.url}/health", timeout=1.0).status_code == 200
        except httpx.HTTPError:
            return False

    def _call(self, method: str, call: str, timeout: float, **content: Any) -> dict[str, Any]:
        return self._send(method, f"{self.url}/api/2.0/mlflow/{call}", call, timeout, **content)

    def _send(self, method: str, url: str, call: str, timeout: float, **content: Any) -> dict[str, Any]:
        import httpx

        try:
            answer = self._client().request(method, url, timeout=timeout, **content)
        except httpx.HTTPError as error:
            raise TrackingUnavailableError(
                f"The tracking server at {self.url} does not answer ({type(error).__name__}).",
                "Start it with `minimind up`, or wait until it has started.",
            ) from None
        return _content(self.url, call, answer)

    def _client(self) -> Any:
        if self._http is None:
            self._http = _new_client(self.url)
        return self._http


def _new_client(url: str) -> Any:
    import httpx

    user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return httpx.Client(
        auth=(user, password) if user and password else None,
        headers={"Authorization": f"Bearer {token}"} if token else None,
        # A proxy for the internet must not get requests to this machine.
        trust_env=httpx.URL(url).host not in LOOPBACK,
        limits=httpx.Limits(max_keepalive_connections=8, keepalive_expiry=4.0),
    )


def _content(url: str, call: str, answer: Any) -> dict[str, Any]:
    if answer.status_code == 200:
        return answer.json()
    try:
        problem = answer.json()
        code, message = problem.get("error_code", ""), problem.get("message", "")
    except ValueError:
        code, message = "", answer.text[:200]
    if code == "RESOURCE_DOES_NOT_EXIST":
        raise NotFoundError(message)
    if answer.status_code >= 500:
        raise TrackingUnavailableError(
            f"The tracking server at {url} answered {answer.status_code} to {call}: {message}"
        )
    raise TrackingError(f"The tracking server refused {call}: {message or answer.status_code}", code)


class TrackingError(PlatformError):
    """The tracking server refused a request."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
