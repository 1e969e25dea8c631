"""Installs the FastAPI example and the wheel of the SDK into an empty virtual environment, and calls the application
through HTTP: `python fastapi_example.py SERVER WHEEL FOLDER`. FOLDER is an empty folder. Needs the package index."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).resolve().parent.parent / "examples/fastapi"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def call(method: str, url: str, body: object = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@contextmanager
def running(*command: str | Path, server: str) -> Iterator[None]:
    environment = {**os.environ, "SENTINEL_SERVER": server}
    with subprocess.Popen([str(part) for part in command], env=environment) as process:
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(30) in (0, -15), process.returncode


def wait_for(url: str) -> None:
    """Repeats a request until the application accepts connections."""
    until = time.monotonic() + 30
    while True:
        try:
            call("GET", url)
            return
        except OSError:
            assert time.monotonic() < until, "the application does not start"


def main(server: str, wheel: str, folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    # A copy, because the build writes into the folder.
    shutil.copytree(EXAMPLE, folder / "example")
    pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", wheel, folder / "example"], check=True)
    port = free_port()
    application = ["-m", "uvicorn", "thumbnail_app:app", "--port", str(port), "--log-level", "warning"]
    jobs = f"http://127.0.0.1:{port}/thumbnails"
    with running(python, *application, server=server), running(python, "-m", "thumbnail_worker", server=server):
        wait_for(f"http://127.0.0.1:{port}/openapi.json")
        status, job = call("POST", jobs, {"image": "cat.png", "width": 64})
        assert status == 202, job
        assert call("GET", f"{jobs}/{job['id']}/result") == (200, {"path": "thumbnails/64/cat.png", "width": 64})
        assert call("GET", f"{jobs}/{job['id']}") == (200, {"id": job["id"], "state": "succeeded"})
        assert call("POST", jobs, {"image": "cat.png", "width": 0})[0] == 422
        _, broken = call("POST", jobs, {"image": "cat.txt", "width": 1})
        status, error = call("GET", f"{jobs}/{broken['id']}/result")
        assert status == 409 and "cat.txt is not an image" in error["message"], error
        assert call("GET", f"{jobs}/0190a5c2-0000-7000-8000-000000000000")[0] == 404
    print("the example works")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
