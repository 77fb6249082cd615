"""Answers that many browsers ask for again and again, worked out once for all of them.

    shared = SharedAnswers(platform.changes)
    return shared.respond(("tasks", "RUNNING", 25), make, request.headers)

`X-As-Of` says for which moment it is true, in seconds since 1970. A page that names what it has (`If-None-Match`) gets
an empty 304 while that is still true. Nothing is read while the database says that nobody has written to it.
"""

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import Response

from dash_app.views import plain

SECONDS = 0.4
"""So old may an answer be although something has changed. Little beside the second that a page waits anyway."""
MOST_QUESTIONS = 300


@dataclass
class _Answer:
    lock: threading.Lock = field(default_factory=threading.Lock)
    body: bytes = b""
    mark: str = ""
    state: Hashable = None
    at: float = 0.0
    as_of: float = 0.0


class SharedAnswers:
    """The newest answer to each of the questions that were asked last."""

    def __init__(self, state: Callable[[], Hashable]) -> None:
        """Make it.

        Args:
            state: says something else when answers may have changed; asked often, so it must cost little.
        """
        self._state = state
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()

    def respond(self, question: Hashable, make: Callable[[], Any], headers: Mapping[str, str]) -> Response:
        """The answer as JSON, or 304 for who has it already.

        Args:
            question: what the answer depends on.
            make: works it out.
            headers: of the request; `Cache-Control: no-cache` asks for what is true this very moment.
        """
        answer = self._answer(question)
        with answer.lock:
            rested = "no-cache" in headers.get("cache-control", "") or time.monotonic() - answer.at >= SECONDS
            if not answer.body or rested:
                answer.as_of = time.time()  # before anything is read: what came later is not in the answer
                state = self._state()
                if not answer.body or state != answer.state:
                    answer.body = json.dumps(plain(make()), ensure_ascii=False, separators=(",", ":")).encode()
                    answer.mark = f'"{hashlib.blake2b(answer.body, digest_size=12).hexdigest()}"'
                    answer.state = state
                answer.at = time.monotonic()
            body, mark, as_of = answer.body, answer.mark, answer.as_of
        told = {"ETag": mark, "X-As-Of": repr(as_of), "Cache-Control": "no-store"}
        if headers.get("if-none-match") == mark:
            return Response(status_code=304, headers=told)
        return Response(body, media_type="application/json", headers=told)

    def _answer(self, question: Hashable) -> _Answer:
        with self._lock:
            answer = self._answers.setdefault(question, _Answer())
            self._answers.move_to_end(question)
            while len(self._answers) > MOST_QUESTIONS:
                self._answers.popitem(last=False)
            return answer
