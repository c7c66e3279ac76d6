"""Serve the page of a run on this machine, renewed while the run trains."""

import base64
import hashlib
import http.server
import threading
from collections.abc import Callable
from pathlib import Path

from gan_jax.errors import InputError

SECONDS = 2  # between two questions of an open page whether it is still the newest
HOST = "127.0.0.1"

# Reloads the page, at the place to which it is scrolled, once the server has another one than the page's tag.
_RENEW = f"""
const shown = document.querySelector("meta[name=tag]").content;
setInterval(async () => {{
  const answer = await fetch("/", {{method: "HEAD", cache: "no-store"}}).catch(() => null);
  if (answer && answer.ok && answer.headers.get("ETag") !== `"${{shown}}"`) location.reload();
}}, {SECONDS * 1000});
"""
# The policy of a page (reports/html.py) lets only scripts run whose digest it names, and lets none of them connect.
_DIGEST = base64.b64encode(hashlib.sha256(_RENEW.encode()).digest()).decode()
_ALLOWED = f"connect-src 'self'; script-src 'sha256-{_DIGEST}'"


class Page:
    """The page of a run, written anew when the run's log or its samples have changed."""

    def __init__(self, run_dir: Path, write: Callable[[Path], Path]):
        self._run_dir, self._write = run_dir, write
        self._state: object = None
        self._content, self._tag = b"", ""
        self._lock = threading.Lock()

    def newest(self) -> tuple[bytes, str]:
        """-> (the page, a tag of its content)"""
        with self._lock:
            if (state := self._changes()) != self._state:
                content, end, rest = self._html().rpartition("</body>")
                self._tag = hashlib.sha256(content.encode(errors="backslashreplace")).hexdigest()[:16]
                renewal = f'<meta name="tag" content="{self._tag}"><script>{_RENEW}</script>'
                page = content.replace("script-src", _ALLOWED, 1) + renewal + end + rest
                self._content = page.encode(errors="backslashreplace")
                self._state = state
            return self._content, self._tag

    def _changes(self) -> list[tuple[str, int]]:
        """What the page is made of, with times of modification."""
        files = [self._run_dir / name for name in ("metrics.jsonl", "environment.json", "config.json", "samples")]
        return [(file.name, file.stat().st_mtime_ns) for file in files if file.exists()]

    def _html(self) -> str:
        if not (self._run_dir / "metrics.jsonl").exists():
            return "<!doctype html><title>starting</title><body><p>The run has not logged a step yet.</p></body>"
        return self._write(self._run_dir).read_text(encoding="utf-8")


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers requests for the page alone, and only under a name of this machine: another site cannot read it through a name
    that resolves to the loopback address."""

    page: Page
    server_version, sys_version = "gan_jax", ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in (HOST, "localhost"):
            return self.send_error(403)
        if self.path != "/":
            return self.send_error(404)
        try:
            content, tag = self.page.newest()
        except (InputError, OSError) as error:
            return self.send_error(503, explain=str(error))
        self.send_response(200)
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(content)), "ETag": f'"{tag}"'}
        for name, value in (headers | {"Cache-Control": "no-store"}).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print no line for each request."""


def make_server(run_dir: Path, write: Callable[[Path], Path], port: int) -> http.server.ThreadingHTTPServer:
    """A server of the page that `write(run_dir)` writes. Raises InputError for a port that is taken."""
    handler = type("Handler", (_Handler,), {"page": Page(run_dir, write)})
    try:
        return http.server.ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise InputError(f"--port {port} cannot be used: {error.strerror}; leave it off for one that is free") from error


def serve(run_dir: Path, write: Callable[[Path], Path], port: int) -> None:
    """Serve the page until Ctrl-C."""
    with make_server(run_dir, write, port) as server:
        server.daemon_threads = True
        print(f"http://{HOST}:{server.server_address[1]}/ shows {run_dir}; Ctrl-C ends", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
