"""The binary as an HTTP server for a test, on a database (with PostgreSQL and Redis) or on a folder."""

import json
import os
import re
import subprocess
import tempfile
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("MEMORY_BANK_MCP", str(ROOT / "target/debug/memory-bank-mcp"))
LENDER = os.environ.get("MEMORY_BANK_TEST_POSTGRES", str(ROOT / "target/debug/memory-bank-test-postgres"))
# Where servers of this run keep keys: never in a home, and never in the project.
STATE = tempfile.TemporaryDirectory(prefix="memory-bank-state-")
BASE = {"PATH": os.environ["PATH"], "HOME": "/dev/null/home", "RUST_LOG": "warn", "MEMORY_BANK_STATE_DIR": STATE.name}


@dataclass
class Served:
    """Where a server is, and its own key, if it has shown one."""

    url: str
    key: str | None

    @property
    def origin(self):
        return self.url.removesuffix("/mcp")

    def send(self, method, path, key, body=None):
        """A request to one of the other routes; gives the JSON of the reply."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        request = urllib.request.Request(self.origin + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.load(reply)


@contextmanager
def served(cwd, **variables):
    """A server in a folder, with these variables."""
    env = BASE | {"MCP_HOST": "127.0.0.1", "MCP_PORT": "0", "RATE_LIMIT_IP_PER_MINUTE": "0"} | variables
    with subprocess.Popen([BINARY, "serve"], cwd=cwd, env=env, stdout=subprocess.PIPE, text=True) as process:
        key = None
        try:
            for line in process.stdout:
                if found := re.match(r"API key \(shown this once\): (\S+)", line):
                    key = found[1]
                if found := re.match(r"Listening on (http:\S+)", line):
                    break
            else:
                raise AssertionError("the server ended before it was ready")
            yield Served(found[1], key)
        finally:
            process.kill()


class Database:
    """A PostgreSQL and a Redis of one's own."""

    def __init__(self, lent):
        self.variables = {"DATABASE_URL": lent["database"], "REDIS_URL": lent["redis"]}
        self.operator = {"DATABASE_URL": lent["operator"], "REDIS_URL": lent["redis"]}
        self.projects = 0

    def operate(self, *arguments):
        """Runs one of the operator's commands."""
        done = subprocess.run([BINARY, *arguments, "--json"], env=BASE | self.operator, capture_output=True, check=True)
        return json.loads(done.stdout)

    def project(self, server):
        """A project of its own: its owner's key, without a rate limit."""
        self.projects += 1
        made = self.operate("bootstrap", "--user", f"owner-{self.projects}", "--project", f"project-{self.projects}")
        unlimit(server, made["key"]["key"], made["key"]["id"])
        return made["key"]["key"]


def unlimit(server, key, key_id):
    """Takes the limit off a key, so that tests may ask as often as they like."""
    server.send("PATCH", f"/api/keys/{key_id}", key, {"rateLimit": 0})


@contextmanager
def lent():
    """A database of one's own, taken back at the end."""
    with subprocess.Popen([LENDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Database(json.loads(process.stdout.readline()))
