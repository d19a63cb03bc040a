"""The npm packages, from a registry on this machine, as a user installs them."""

import json
import os
import signal
import subprocess

import pytest
from conftest import run
from servers import npm_environment, npm_registry

NAME = "@diazstg/memory-bank-mcp"


@pytest.fixture(scope="session")
def registry(dist):
    with npm_registry(dist) as address:
        yield address


@pytest.fixture
def npm(registry, tmp_path):
    """The environment of an npm that knows this registry alone, with a cache and a home of its own."""
    return npm_environment(registry, tmp_path)


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


def test_a_missing_package_of_the_system_is_named_with_advice(npm, tmp_path, dist, version):
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


def test_a_killed_program_ends_the_launcher_with_the_same_signal(npm, tmp_path, dist, version):
    run("npm", "install", package(dist, version), cwd=tmp_path, env=npm)
    child = subprocess.Popen([tmp_path / "node_modules/.bin/memory-bank-mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    child.stdin.write((json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}) + "\n").encode())
    child.stdin.flush()
    assert child.stdout.readline()
    inner = int(subprocess.run(["pgrep", "-P", str(child.pid)], stdout=subprocess.PIPE, check=True).stdout)
    os.kill(inner, signal.SIGKILL)
    assert child.wait(timeout=60) == -signal.SIGKILL
