"""The image on its own: its size, no shell, no rights, and its health check."""

import json
import os
import re
import time

import pytest
from conftest import wait_for
from mcp import call, initialize, send

CONFINED = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "65532:65532"]
MEGABYTE = 1_000_000


@pytest.fixture
def container(engine, image):
    """Runs containers that serve a folder in a volume, and takes them away again."""
    made = []

    def run(*options):
        name = engine("run", "--detach", *CONFINED, "--volume", "/data", "--health-interval", "1s", *options, image)
        made.append(name)
        wait_for("the container is healthy", lambda: engine.health(name) == "healthy")
        address = (engine.inspect(name)["NetworkSettings"]["IPAddress"], 3100)
        key = re.search(r"mbmcp_live_\w+", engine("logs", name)).group()
        return name, address, key

    yield run
    for name in made:
        engine("rm", "--force", "--volumes", name)


@pytest.mark.skipif("MEMORY_BANK_IMAGE_SHIPPED" not in os.environ, reason="`scripts/test shipped` builds the program of a release")
def test_image_and_binary_are_small(engine, image, binary):
    # The bound of 20 MB is that of downloads, which `packaging/pack` checks; a server is built to be fast (decision 25).
    assert binary.stat().st_size < 28 * MEGABYTE
    assert engine.inspect(image)["Size"] < 60 * MEGABYTE


def test_the_image_contains_no_shell(engine, image):
    for shell in ["sh", "/bin/sh", "bash", "busybox"]:
        done = engine.try_("run", "--rm", "--entrypoint", shell, image, "-c", "true")
        assert done.returncode == 127, done


def test_the_image_declares_its_user_and_health_check(engine, image):
    config = engine.inspect(image)["Config"]
    assert config["User"] == "65532:65532"
    assert config["Healthcheck"]["Test"] == ["CMD", "memory-bank-mcp", "health", "--live"]
    assert config["ExposedPorts"] == {"3100/tcp": {}}


def test_the_label_of_the_image_has_the_version_of_the_binary(engine, image):
    label = engine.inspect(image)["Config"]["Labels"]["org.opencontainers.image.version"]
    assert label == "2.0.0" and label in engine("run", "--rm", image, "--version").split()


def test_it_serves_from_a_read_only_root_without_capabilities_and_stops_on_sigterm(engine, container):
    name, address, key = container("--read-only")
    status, _, body = send(address, "GET", "/health")
    assert (status, json.loads(body)["status"]) == (200, "ok")
    assert send(address, "POST", "/mcp", body={})[0] == 401
    session = initialize(address, key)
    call(address, key, session, "initialize_memory_bank", path=".")
    assert "product-context.md" in call(address, key, session, "list_memory_bank_files")
    began = time.monotonic()
    engine("stop", "--time", "20", name)
    assert time.monotonic() - began < 12
    assert engine.inspect(name)["State"]["ExitCode"] == 0


def test_nothing_is_written_outside_the_volume(engine, container):
    name, address, key = container()
    session = initialize(address, key)
    call(address, key, session, "initialize_memory_bank", path=".")
    call(address, key, session, "track_progress", action="Deployed", description="In a container")
    assert engine("diff", name) == ""


def test_the_health_check_fails_when_nothing_answers(engine, container):
    name, _, _ = container()
    probe = engine.try_("exec", "--env", "MCP_PORT=3999", name, "memory-bank-mcp", "health", "--live")
    assert probe.returncode == 1
    assert "3999" in probe.stderr
    assert '"db"' in engine("exec", name, "memory-bank-mcp", "health")


def test_the_image_serves_one_client_over_stdio(engine, image):
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}
    done = engine.try_("run", "--rm", "--interactive", "--read-only", *CONFINED, "--env", "MCP_TRANSPORT=stdio", image,
                       input=json.dumps(message) + "\n")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["serverInfo"]["name"].endswith("memory-bank-mcp")
