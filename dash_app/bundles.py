"""Our own scripts and styles as one file each: a browser asks for two files instead of sixty.

assets = Bundles(folder, apart={"00-boot.js"})
assets.script.url      # /assets/all.js?v=1f0c…, another one whenever a file changes
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

BETWEEN = {".js": b"\n;\n", ".css": b"\n"}
"""What stands between two files, so that none runs into the next."""
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}


@dataclass(frozen=True)
class Bundle:
    """Files of one kind, one after the other in the order of their names."""

    path: str
    kind: str
    body: bytes

    @property
    def url(self) -> str:
        """With the content in its name, so that browsers keep it for good."""
        return f"{self.path}?v={hashlib.sha256(self.body).hexdigest()[:16]}"


class Bundles:
    """What all pages need, made once when the web app starts."""

    def __init__(self, folder: Path, apart: Collection[str] = ()) -> None:
        self.script = _bundle(folder, ".js", apart)
        self.style = _bundle(folder, ".css", apart)

    def all(self) -> dict[str, Bundle]:
        """By path."""
        return {bundle.path: bundle for bundle in (self.script, self.style)}


def _bundle(folder: Path, suffix: str, apart: Collection[str]) -> Bundle:
    files = sorted(path for path in folder.glob(f"*{suffix}") if path.name not in apart)
    body = BETWEEN[suffix].join(path.read_bytes() for path in files)
    return Bundle(f"/assets/all{suffix}", KINDS[suffix], body)
