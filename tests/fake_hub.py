"""A small Hugging Face hub on this machine: the paths, headers and redirects that the real one has for public files.

with FakeHub({"jingyaogong/minimind_dataset": {"dpo.jsonl": b"…"}}) as hub:
    os.environ["HF_ENDPOINT"] = hub.url
"""

import gzip
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 1_000
"""Files of so many bytes lie in large file storage."""


class FakeHub:
    """Serves repositories, by name: a dict of file names and contents."""

    def __init__(self, repos: dict[str, dict[str, bytes]]) -> None:
        self.repos = repos
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and headers of all requests."""
        self.cut_after = 0
        """The next answer with content breaks off after so many bytes."""
        self.hold_after = 0
        """Answers with content stop after so many bytes until `released` is set."""
        self.released = threading.Event()
        self.wrong: dict[str, str] = {}
        """A checksum that is told instead of the right one, by file name."""
        self.sizes: dict[str, int] = {}
        """A size that is told instead of the right one, by file name."""
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.content_url = self.url.replace("127.0.0.1", "localhost")  # the hub's large files are on another host

    def __enter__(self) -> "FakeHub":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def ranges(self) -> list[str]:
        """The Range of every request for content, "" without."""
        return [headers.get("range", "") for method, path, headers in self.requests if path.startswith("/cdn/")]

    def info(self, repo: str) -> dict[str, Any]:
        """What the hub tells of a repository with blobs=True."""
        siblings = []
        for name, content in self.repos[repo].items():
            git = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
            entry: dict[str, Any] = {"rfilename": name, "size": self.sizes.get(name, len(content)), "blobId": git}
            if len(content) >= LARGE:
                sha256 = self.wrong.get(name) or hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": sha256, "size": entry["size"], "pointerSize": 134}
            siblings.append(entry)
        return {"_id": "1", "id": repo, "sha": COMMIT, "private": False, "siblings": siblings, "tags": []}


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, {key.lower(): value for key, value in self.headers.items()}))
        if match := re.fullmatch(r"/api/(?:datasets|models)/([^/]+/[^/]+)(?:/revision/[^/]+)?", path):
            self.tell(match[1])
        elif match := re.fullmatch(r"/(?:datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.resolve(match[1], match[3])
        elif match := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", path):
            self.content(self.hub.repos[match[1]][match[2]])
        else:
            self.send(404, b"Not here.")

    def tell(self, repo: str) -> None:
        if repo not in self.hub.repos:
            return self.missing_repo()
        body = json.dumps(self.hub.info(repo)).encode()
        return self.send(200, body, {"Content-Type": "application/json; charset=utf-8"})

    def missing_repo(self) -> None:
        """The hub does not tell a repository that is not there from one that is not public."""
        headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
        self.send(401, b'{"error":"Invalid username or password."}', headers)

    def resolve(self, repo: str, name: str) -> None:
        if repo not in self.hub.repos:
            return self.missing_repo()
        content = self.hub.repos[repo].get(name)
        if content is None:
            headers = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found", "X-Repo-Commit": COMMIT}
            return self.send(404, b"Entry not found", headers)
        headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if len(content) >= LARGE:
            headers |= {
                "X-Linked-Size": str(len(content)),
                "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
                "Location": f"{self.hub.content_url}/cdn/{repo}/{name}",
            }
            return self.send(302, b"Found", headers)
        git = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        headers["ETag"] = f'"{git}"'
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            return self.send(200, gzip.compress(content), headers | {"Content-Encoding": "gzip"})
        return self.send(200, content, headers)

    def content(self, content: bytes) -> None:
        """What a content delivery network sends; with Range a part of it."""
        begin = 0
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            begin = int(match[1])
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self.send_head(206 if match else 200, len(content) - begin, headers)
        rest = content[begin:]
        if self.hub.cut_after:
            cut, self.hub.cut_after = self.hub.cut_after, 0
            self.wfile.write(rest[:cut])
            self.close_connection = True
        elif self.hub.hold_after and not self.hub.released.is_set():
            self.wfile.write(rest[: self.hub.hold_after])
            self.wfile.flush()
            self.hub.released.wait(60)
            self.close_connection = True
        else:
            self.wfile.write(rest)

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_head(status, len(body), headers or {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        pass
