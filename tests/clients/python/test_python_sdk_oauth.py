"""The official Python SDK signs in with OAuth: it registers itself, uses tokens, and refreshes them."""

import pytest

from http_server import lent, served
from oauth_sdk import Storage, provider, work

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
