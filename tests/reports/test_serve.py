"""The page of a run is served on this machine alone, and nothing else is."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser

from gan_jax.config import Config, config_json
from gan_jax.errors import InputError
from gan_jax.reports.report import write_report
from gan_jax.reports.serve import make_server

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "config.json").write_text(config_json(Config(name="served", steps=2)))
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1, "d/loss": 1.0, "seconds": 1.0}) + "\n")
    return tmp_path


def write(run_dir):
    """A page that shows the log."""
    page = run_dir / "report.html"
    page.write_text(f"<body>{(run_dir / 'metrics.jsonl').read_text()}</body>")
    return page


@contextmanager
def serving(run_dir, write=write):
    with make_server(run_dir, write, 0) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server.server_address
        server.shutdown()


def ask(address, method="GET", path="/", host="localhost"):
    connection = http.client.HTTPConnection(*address, timeout=10)
    connection.request(method, path, headers={"Host": f"{host}:{address[1]}"})
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, answer.headers["ETag"], content


def test_the_page_and_nothing_else(run_dir):
    with serving(run_dir) as address:
        assert address[0] == "127.0.0.1"
        status, tag, content = ask(address)
        assert status == 200 and '"d/loss": 1.0' in content and tag.strip('"') in content
        assert ask(address, "HEAD") == (200, tag, "")
        for path in ("/config.json", "/../config.json", "/report.html", "/?x", "/samples/"):
            assert ask(address, path=path)[0] == 404, path
        assert ask(address, "POST")[0] == 501
        assert ask(address, host="example.org")[0] == 403  # a name that resolves to the loopback address


def test_the_page_is_renewed_when_the_log_is(run_dir):
    with serving(run_dir) as address:
        _, before, _ = ask(address)
        assert ask(address, "HEAD")[1] == before
        with (run_dir / "metrics.jsonl").open("a") as log:
            log.write(json.dumps({"step": 2, "d/loss": 7.0}) + "\n")
        os.utime(run_dir / "metrics.jsonl", ns=(1, 1))  # the clock of the file system may be coarse
        _, after, content = ask(address)
        assert after != before and '"d/loss": 7.0' in content


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_an_open_page_renews_itself(run_dir):
    """The policy of the real page lets the script of the server run, and ask for the newest page."""
    with serving(run_dir, write_report) as address, Browser() as browser:
        browser.open(f"http://{address[0]}:{address[1]}/")
        browser.run("document.title = 'the first page'")
        with (run_dir / "metrics.jsonl").open("a") as log:
            log.write(json.dumps({"step": 2, "d/loss": 7.0, "seconds": 2.0}) + "\n")
        end = time.monotonic() + 30
        while browser.run("document.title") == "the first page" and time.monotonic() < end:
            time.sleep(0.2)
        assert browser.run("document.title") != "the first page"
        assert not browser.errors


def test_a_run_that_has_not_logged_yet(run_dir):
    (run_dir / "metrics.jsonl").unlink()
    with serving(run_dir) as address:
        status, _, content = ask(address)
    assert status == 200 and "not logged a step yet" in content and "<script>" in content


def test_a_port_that_is_taken(run_dir):
    with serving(run_dir) as address, pytest.raises(InputError, match=rf"--port {address[1]} cannot be used: Address already"):
        make_server(run_dir, write, address[1])


def test_the_command(run_dir, tmp_path):
    """It writes the page, or serves it until Ctrl-C."""
    command = [sys.executable, "experiments/report.py"]
    ended = subprocess.run([*command, str(run_dir)], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, f"report: {run_dir / 'report.html'}\n"), ended.stderr
    assert "served" in (run_dir / "report.html").read_text()
    for arguments, words in (([str(run_dir / "no")], "is not a run directory"), ([str(run_dir), "--port", "1"], "add it")):
        ended = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True)
        assert ended.returncode == 2 and words in ended.stderr and len(ended.stderr.splitlines()) == 1
    process = subprocess.Popen([*command, str(run_dir), "--serve"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    address = process.stdout.readline().split("/")[2]
    assert "served" in ask((address.split(":")[0], int(address.split(":")[1])))[2]
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    process.stdout.close()
