"""The npm packages, from a registry on this machine, as a user installs them."""

import base64
import hashlib
import http.server
import io
import json
import os
import signal
import subprocess
import tarfile
import threading
import urllib.parse

import pytest
from conftest import run

NAME = "@diazstg/memory-bank-mcp"


@pytest.fixture(scope="session")
def registry(dist):
    """Serves the packed files as the registry does, and nothing else."""
    packages, files = {}, {}
    for path in sorted((dist / "npm").iterdir()):
        content = path.read_bytes()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            manifest = json.load(archive.extractfile("package/package.json"))
        files[path.name] = content
        packages[manifest["name"]] = (manifest, path.name, content)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = urllib.parse.unquote(self.path.lstrip("/"))
            if name in files:
                return self.answer(files[name], "application/octet-stream")
            if name not in packages:
                return self.send_error(404)
            manifest, file, content = packages[name]
            digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
            address = f"http://127.0.0.1:{self.server.server_port}/{file}"
            entry = {**manifest, "dist": {"tarball": address, "integrity": f"sha512-{digest}"}}
            version = manifest["version"]
            packument = {"name": name, "dist-tags": {"latest": version}, "versions": {version: entry}}
            return self.answer(json.dumps(packument).encode(), "application/json")

        def answer(self, content, kind):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture
def npm(registry, tmp_path):
    """The environment of an npm that knows this registry alone, with a cache and a home of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().startswith("npm_config_")}
    return {
        **kept,
        "HOME": str(tmp_path / "home"),
        "npm_config_registry": registry,
        "npm_config_cache": str(tmp_path / "cache"),
        "npm_config_userconfig": str(tmp_path / "npmrc"),
        "npm_config_globalconfig": str(tmp_path / "globalrc"),
        "npm_config_fund": "false",
        "npm_config_audit": "false",
        "npm_config_update_notifier": "false",
    }


def package(dist, version):
    return dist / f"npm/diazstg-memory-bank-mcp-{version}.tgz"


def test_npx_y_starts_the_program_in_an_empty_folder(npm, tmp_path, version):
    folder = tmp_path / "empty"
    folder.mkdir()
    assert version in run("npx", "-y", NAME, "--version", cwd=folder, env=npm).stdout
    # The folder stays empty: nothing is installed into a project.
    assert list(folder.iterdir()) == []


def test_the_packed_file_is_installed_into_an_empty_folder_and_serves_a_session(npm, tmp_path, dist, version, session):
    folder = tmp_path / "empty"
    folder.mkdir()
    run("npm", "install", package(dist, version), cwd=folder, env=npm)
    scripts = json.loads((folder / f"node_modules/{NAME}/package.json").read_text()).get("scripts", {})
    assert scripts == {}, "installing must run nothing"
    assert "end" in session("npx", "--no-install", "--prefix", folder, "memory-bank-mcp", env=npm)


def test_a_missing_package_of_the_system_is_named_with_what_to_do(npm, tmp_path, dist, version):
    run("npm", "install", "--omit=optional", package(dist, version), cwd=tmp_path, env=npm)
    done = run(tmp_path / "node_modules/.bin/memory-bank-mcp", "--version", check=False, env=npm)
    assert done.returncode == 1
    assert f"`{NAME}-linux-" in done.stdout and "--omit=optional" in done.stdout, done.stdout
    assert "at " not in done.stdout, "no stack trace"


def test_the_exit_code_and_signals_are_the_program_s(npm, tmp_path, dist, version):
    run("npm", "install", package(dist, version), cwd=tmp_path, env=npm)
    command = tmp_path / "node_modules/.bin/memory-bank-mcp"
    assert run(command, "--no-such-flag", check=False).returncode == 2
    serving = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": tmp_path}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}) + "\n"
    for sent, code in [(signal.SIGTERM, 0), (signal.SIGINT, 0)]:
        child = subprocess.Popen([command], **serving)
        child.stdin.write(line.encode())
        child.stdin.flush()
        assert b"serverInfo" in child.stdout.readline()
        inner = int(subprocess.run(["pgrep", "-P", str(child.pid)], stdout=subprocess.PIPE, check=True).stdout)
        child.send_signal(sent)
        assert child.wait(timeout=60) == code, sent
        assert not os.path.exists(f"/proc/{inner}"), "the program goes on"


def test_a_program_that_is_killed_kills_the_launcher_in_the_same_way(npm, tmp_path, dist, version):
    run("npm", "install", package(dist, version), cwd=tmp_path, env=npm)
    child = subprocess.Popen([tmp_path / "node_modules/.bin/memory-bank-mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    child.stdin.write((json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}) + "\n").encode())
    child.stdin.flush()
    assert child.stdout.readline()
    inner = int(subprocess.run(["pgrep", "-P", str(child.pid)], stdout=subprocess.PIPE, check=True).stdout)
    os.kill(inner, signal.SIGKILL)
    assert child.wait(timeout=60) == -signal.SIGKILL
