"""`minimind up`: starts the tracking server, the scheduler and the web app, and keeps them alive until Ctrl-C.

    Supervisor(Settings.load(), demo=False, say=print).run()

Trainings belong to their own runners and go on when all of this ends.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from minimind_platform import tracking_server
from minimind_platform.errors import PlatformError
from minimind_platform.home import address, check_host, check_port, only_platform, prepare
from minimind_platform.logs import last_lines
from minimind_platform.servers import Server, answers
from minimind_platform.settings import Settings

LOOK_SECONDS = 0.25
"""Between two looks while servers start; four times as long afterwards."""
START_SECONDS = 90.0
STOP_SECONDS = 12.0
TRIES = 3
"""Starts of a server that has never answered before we give up."""
DEMO_SETTINGS = {
    "data_path": "dataset/samples/pretrain.jsonl",
    "batch_size": "16",
    "accumulation_steps": "1",
    "learning_rate": "2e-3",
    "max_seq_len": "256",
    "epochs": "1",
}
"""The loss falls within a minute on two CPU cores, and the training ends within a few."""


class Supervisor:
    """The three servers of one home folder."""

    def __init__(self, settings: Settings, *, demo: bool = False, say: Callable[[str], None] = print) -> None:
        self._settings = settings
        self._demo = demo
        self._say = say
        self._stop = False
        self._hurry = False
        self._servers: list[Server] = []

    def run(self) -> int:
        """Run until SIGINT or SIGTERM; the exit code."""
        settings = self._settings
        check_host(settings.host)
        with only_platform(settings):
            check_port(settings.host, settings.port, "--port")
            if not settings.tracking_uri:
                check_port("127.0.0.1", settings.tracking_port, "--tracking-port")
            self._demo = prepare(settings) or self._demo
            if not settings.tracking_uri:
                tracking_server.upgrade_database(settings)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._on_signal)
            self._say(f"MiniMind Platform in {settings.home}")
            self._servers = [self._tracking()] if not settings.tracking_uri else []
            self._servers += [self._scheduler(), self._web()]
            try:
                for server in self._servers:
                    server.start()
                self._samples()
                return self._watch()
            finally:
                self._end()

    # the servers

    def _tracking(self) -> Server:
        url = f"http://127.0.0.1:{self._settings.tracking_port}/mlflow/health"
        command, environment = tracking_server.command(self._settings), tracking_server.environment(self._settings)
        return Server("tracking server", command, self._log("tracking"), lambda: answers(url), environment)

    def _scheduler(self) -> Server:
        command = [sys.executable, "-m", "minimind_platform.scheduler"]
        server = Server("scheduler", command, self._log("scheduler"), lambda: False, self._environment())
        server.ready = lambda: server.process is not None and self._heartbeat() == server.process.pid
        return server

    def _web(self) -> Server:
        command = [sys.executable, "-m", "dash_app"]
        url = f"{address(self._settings)}/healthz"
        return Server("web app", command, self._log("web"), lambda: answers(url), self._environment())

    def _environment(self) -> dict[str, str]:
        s = self._settings
        values = {"MINIMIND_HOME": str(s.home), "MINIMIND_HOST": s.host, "MINIMIND_PORT": str(s.port)}
        return values | {"MINIMIND_TRACKING_PORT": str(s.tracking_port), "DO_NOT_TRACK": "true"}

    def _log(self, name: str) -> Path:
        return self._settings.mlruns_dir / "logs" / f"{name}.log"

    def _heartbeat(self) -> int:
        try:
            return int(json.loads((self._settings.mlruns_dir / "scheduler.json").read_text(encoding="utf-8"))["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    # from start to end

    def _samples(self) -> None:
        """Make data to try with, while the servers start."""
        folder = self._settings.data_dir / "samples"
        if folder.exists():
            return
        from trainer.samples import generate

        generate(folder)
        self._say("sample data  made in dataset/samples/")

    def _watch(self) -> int:
        began, up = time.monotonic(), False
        while not self._stop:
            for server in self._servers:
                self._mind(server)
                if not up and server.failures >= TRIES:
                    return self._give_up(server)
            late = [server for server in self._servers if server.ready_after is None]
            if not up and not late:
                up = True
                self._announce()
            if not up and late and time.monotonic() - began > START_SECONDS:
                return self._give_up(late[0])
            time.sleep(LOOK_SECONDS if late else 4 * LOOK_SECONDS)
        return 0

    def _mind(self, server: Server) -> None:
        """Restart a server that has died, and say when one answers."""
        code = server.ended()
        if code is not None:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self._say(
                f"{server.name} ended ({how}); starts again in {server.pause:.0f} s. Its log: {self._short(server)}"
            )
        if server.process is None and time.monotonic() >= server.start_at:
            server.start()
        if server.look():
            self._say(f"{server.name:<16} ready in {server.ready_after:.1f} s")

    def _announce(self) -> None:
        self._count_active("{} active from before; the scheduler has found them again.")
        self._submit_demo()
        url = address(self._settings)
        self._say(f"\n  Web app    {url}\n  MLflow     {url}/mlflow/\n")
        self._say("Ctrl-C stops the servers; trainings go on.")

    def _submit_demo(self) -> None:
        if not self._demo:
            return
        settings = [part for name, value in DEMO_SETTINGS.items() for part in (f"--{name}", value)]
        done = self._cli("submit", "pretrain", "--preset", "tiny", "--name", "demo", *settings)
        self._say((done.stdout if done.returncode == 0 else f"The demo was not submitted: {done.stderr}").strip())

    def _count_active(self, sentence: str) -> None:
        """Say how many trainings there are, if there are any. By the command line, so that it costs us no memory."""
        done = self._cli("tasks", "--state", "RUNNING,STARTING,STOPPING", "--json")
        try:
            count = json.loads(done.stdout)["total"]
        except (ValueError, KeyError, TypeError):
            return
        if count:
            self._say(sentence.format(f"{count} training{'s are' if count > 1 else ' is'}"))

    def _cli(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "minimind_platform.cli", *arguments]
        environment = {**os.environ, **self._environment()}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def _give_up(self, server: Server) -> int:
        self._say(f"\nThe {server.name} does not start. The end of {self._short(server)}:")
        for line in last_lines(server.log, 15):
            self._say(f"    {line}")
        return 1

    def _end(self) -> None:
        self._stop = True
        for server in reversed(self._servers):
            server.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for server in reversed(self._servers):
            while not self._hurry and server.process and server.process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            server.wait(0.0 if self._hurry else deadline)
        self._count_active("{} going on without the servers; `minimind up` finds them again.")
        self._say("Stopped.")

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._hurry = self._stop
        if not self._stop:
            self._say("\nStopping the servers …")
        self._stop = True

    def _short(self, server: Server) -> str:
        return str(server.log.relative_to(self._settings.home))


def run(settings: Settings, demo: bool) -> int:
    """Run the platform in this terminal."""
    try:
        return Supervisor(settings, demo=demo, say=lambda line: print(line, flush=True)).run()
    except PlatformError as error:
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
        return 1
