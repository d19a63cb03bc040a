"""The page of the deployment guide: its blocks and lines, and requests to the stack that it starts."""

import base64
import re
import subprocess

from conftest import ROOT, wait_for

PAGE = ROOT / "docs" / "deployment-guide.md"
EDGE = ("127.0.0.1", 80)
NAMED = ["mbmcp-traefik", "mbmcp-server", "mbmcp-postgres", "mbmcp-redis"]
UP = "docker compose --profile local-db up -d"
GONE = "docker compose --profile local-db down -v"


def code():
    """The blocks of the page: kind and text."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def the(kind, beginning):
    """The only block of a kind that begins so."""
    (block,) = [text for one, text in code() if one == kind and text.startswith(beginning)]
    return block


def line(text):
    """A line that the page has, as a command of its own."""
    assert any(text in commands(block) for kind, block in code() if kind in ("bash", "sh")), f"not in the guide: {text}"
    return text


def commands(block):
    return [one.strip() for one in re.sub(r"\\\n\s*", "", block).splitlines() if one.strip()]


def healthy(engine, names=NAMED):
    for name in names:
        wait_for(f"{name} is healthy", lambda name=name: engine.health(name) == "healthy")


def answer(port, path="/", headers=None, seconds=5):
    """The status of a request to this machine; `None` while nothing listens."""
    options = [part for header in headers or [] for part in ("--header", header)]
    done = subprocess.run(["curl", "--silent", "--max-time", str(seconds), "--output", "/dev/null", "--location", *options,
                           "--write-out", "%{http_code}", f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True)
    return int(done.stdout or 0)


def login(user, password):
    return ["Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()]


def psql(engine, query):
    return engine("exec", "mbmcp-postgres", "psql", "-U", "mbmcp", "-d", "memory_bank_mcp", "-v", "ON_ERROR_STOP=1", "-Atc", query)


def server_password(engine):
    return engine("run", "--rm", "--volume", "mbmcp_server-credentials:/credentials", "--entrypoint", "cat", "postgres:17-alpine",
                  "/credentials/server_password").strip()


def of_ours(engine):
    return engine("volume", "ls", "--quiet", "--filter", "name=mbmcp") + engine("ps", "--all", "--quiet")
