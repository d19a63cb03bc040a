"""The official Python SDK signs in with OAuth: it registers itself, uses tokens, and refreshes them. An older version does the
same in revision 2025-06-18."""

import json
import subprocess
from pathlib import Path

import pytest

from http_server import lent, served
from oauth_sdk import CALLBACK, Storage, allow, provider, work

OLDER = Path(__file__).parents[1] / "older"

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def database():
    with lent() as database:
        yield database


@pytest.fixture(scope="module")
def server(database):
    with served("/", **database.variables) as server:
        yield server


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_it_registers_signs_in_calls_a_tool_and_refreshes(server, database, mode):
    database.project(server)
    code = database.operate("login-code", "--user", f"owner-{database.projects}")["code"]
    storage = Storage()
    auth = provider(server.url, storage, code)
    await work(server.url, auth, mode)
    assert storage.client.client_id.startswith("mbmcp_client_")
    assert storage.tokens.access_token.startswith("mbmcp_at_") and storage.tokens.scope == "read write"

    # The access token has expired. The login code is used up, so nobody could sign in again.
    first = storage.tokens.refresh_token
    auth.context.token_expiry_time = 1
    await work(server.url, auth, mode)
    assert storage.stored == 2 and storage.tokens.refresh_token != first


async def test_its_version_of_2025_06_18_registers_signs_in_calls_a_tool_and_refreshes(server, database):
    database.project(server)
    code = database.operate("login-code", "--user", f"owner-{database.projects}")["code"]
    command = [OLDER / ".venv/bin/python", OLDER / "oauth_client.py", server.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        try:
            address = client.stdout.readline().strip()
            answer = await allow(address, code)
            written, _ = client.communicate(f"{CALLBACK}?{answer}\n", timeout=60)
        finally:
            client.kill()
    assert client.returncode == 0
    found = json.loads(written.splitlines()[-1])
    assert found.pop("client").startswith("mbmcp_client_") and found.pop("text")
    assert found == {"revision": "2025-06-18", "scope": "read write", "stored": 2, "is_new": True}
