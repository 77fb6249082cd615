"""Model files: whole files with Range, so that a broken download goes on, and a version's folder as one zip."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response, StreamingResponse

from dash_app.views import answer
from minimind_platform.errors import NotFoundError

if TYPE_CHECKING:
    from minimind_platform import Platform

CHUNK = 1 << 20


def download_router(platform: "Platform") -> APIRouter:
    """Downloads of registered versions and loose weight files."""
    router = APIRouter(prefix="/api", tags=["downloads"])

    @router.get("/weights/{file:path}/download")
    def weight(file: str) -> Response:
        """A weight file; a fetched model's folder as a zip."""
        path = platform.weight_file(file)
        if path.is_dir():
            headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(f'{path.name}.zip', safe='')}"}
            return StreamingResponse(zipped(path, path.name), media_type="application/zip", headers=headers)
        return FileResponse(path, filename=path.name, media_type="application/octet-stream")

    @router.get("/models/{name}/{version}/download")
    def version(name: str, version: int, file: str = "") -> Response:
        """The whole folder as a zip, or with `file` one file of it."""
        folder = platform.version_files(name, version)
        if not file:
            headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(f'{name}-{version}.zip', safe='')}"}
            return StreamingResponse(zipped(folder, f"{name}-{version}"), media_type="application/zip", headers=headers)
        if file not in {str(path) for path in files_of(folder)}:
            raise NotFoundError(f"Version {version} of {name} has no file {file!r}.")
        path = folder / file
        return FileResponse(path, filename=path.name, media_type="application/octet-stream")

    @router.get("/models/{name}/{version}/files")
    def version_files(name: str, version: int) -> Response:
        folder = platform.version_files(name, version)
        return answer([{"file": str(path), "bytes": (folder / path).stat().st_size} for path in files_of(folder)])

    return router


def files_of(folder: Path) -> list[Path]:
    """The files of a folder, relative to it. Links that lead out of it are left out."""
    root = folder.resolve()
    return sorted(
        path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.resolve().is_relative_to(root)
    )


def zipped(folder: Path, name: str) -> Iterator[bytes]:
    """A folder as a zip, made while it is sent. Weights do not compress, so the files are only stored."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for path in files_of(folder):
            info = zipfile.ZipInfo.from_file(folder / path, f"{name}/{path}")
            with (folder / path).open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
                    yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """Keeps what was written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self.parts)
        self.parts.clear()
        return data
