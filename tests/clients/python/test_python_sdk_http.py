"""The official Python SDK over HTTP, in both eras of the protocol and both reply modes, on a database and on a folder."""

import json
from contextlib import asynccontextmanager, contextmanager

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from http_server import lent, served, unlimit

ERAS = {"legacy": "2025-11-25", "auto": "2026-07-28", "2026-07-28": "2026-07-28"}
UNKNOWN = "mbmcp_live_" + "x" * 32

# Clients with a handshake use `resources/subscribe`; the SDK marks it deprecated.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:resources/subscribe is removed")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def database():
    with lent() as database:
        yield database


@contextmanager
def folder_server(folder, json_response):
    with served(folder, MCP_JSON_RESPONSE=json_response) as server:
        unlimit(server, server.key, server.send("GET", "/api/keys", server.key)["keys"][0]["id"])
        yield server, server.key


@pytest.fixture(scope="module", params=["false", "true"], ids=["events", "JSON"])
def on_database(request, database):
    with served("/", MCP_JSON_RESPONSE=request.param, **database.variables) as server:
        yield server


@pytest.fixture
def project(on_database, database):
    """Where a project of its own is served, and its owner's key."""
    return on_database.url, database.project(on_database)


@asynccontextmanager
async def connected(url, key, mode="auto", *, responses=None, **options):
    hooks = {"response": [responses] if responses else []}
    async with httpx2.AsyncClient(headers={"X-API-Key": key}, timeout=30, event_hooks=hooks) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, read_timeout_seconds=30, cache=None, **options) as client:
            yield client


async def call(client, name, /, **arguments):
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content[0].text
    return result


async def work(client):
    """Typical requests of a client: list, write, read, complete, and a refused call."""
    assert len((await client.list_tools()).tools) == 42
    await call(client, "initialize_memory_bank", path=".")
    await call(client, "track_progress", action="Did", description="größer & schöner $& 日本語")
    read = await client.read_resource("memory-bank://progress")
    assert "- Did: größer & schöner $& 日本語\n" in read.contents[0].text
    await call(client, "graph_upsert_entity", name="Checkout Service", entityType="service")
    for name, arguments in {
        "get_memory_bank_status": {},
        "get_context_digest": {},
        "batch_read_files": {"files": ["progress.md", "missing.md"]},
        "search_memory_bank": {"query": "größer"},
        "graph_search": {"query": "*", "limit": 50},
    }.items():
        result = await call(client, name, **arguments)
        text = result.content[0].text
        expected = json.loads(text) if len(text.encode()) < 2048 else None
        assert result.structured_content == expected, name
    assert (await client.call_tool("read_memory_bank_file", {"filename": "missing.md"})).is_error
    assert (await client.call_tool("read_memory_bank_file", {})).is_error
    with pytest.raises(MCPError, match="Unknown tool") as refused:
        await client.call_tool("no_such_tool", {})
    assert refused.value.error.code == -32602
    prompts = (await client.list_prompts()).prompts
    known = {"mode": "code", "entity": "Checkout Service"}
    for prompt in prompts:
        arguments = {a.name: known.get(a.name, "Use a queue") for a in prompt.arguments or []}
        assert (await client.get_prompt(prompt.name, arguments)).messages
    assert len(prompts) == 5


@pytest.mark.parametrize("mode", ERAS)
async def test_the_sdk_works_on_a_database(project, mode):
    async with connected(*project, mode) as client:
        assert client.protocol_version == ERAS[mode]
        await work(client)


@pytest.mark.parametrize("json_response", ["false", "true"], ids=["events", "JSON"])
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_the_sdk_works_on_a_folder(tmp_path, mode, json_response):
    with folder_server(tmp_path, json_response) as (server, key):
        async with connected(server.url, key, mode) as client:
            await work(client)


async def test_a_sessionless_listener_is_notified_of_changes_by_a_session(project):
    uri = "memory-bank://progress"
    async with connected(*project, "legacy") as writer, connected(*project, "2026-07-28") as listener:
        await call(writer, "initialize_memory_bank", path=".")
        async with listener.listen(resource_subscriptions=[uri]) as events:
            assert events.honored.resource_subscriptions == [uri]
            await call(writer, "track_progress", action="Did", description="it")
            with anyio.fail_after(20):
                assert (await anext(events)).uri == uri


async def test_a_session_subscriber_is_notified_of_changes_by_a_sessionless_client(project):
    uri = "memory-bank://progress"
    heard = anyio.Event()

    async def note(message):
        if "resources/updated" in str(message):
            heard.set()

    async with connected(*project, "2026-07-28") as writer:
        await call(writer, "initialize_memory_bank", path=".")
        async with connected(*project, "legacy", message_handler=note) as subscriber:
            await subscriber.subscribe_resource(uri)
            with anyio.fail_after(30):
                # The stream of notifications opens after the handshake; an earlier change would be missed.
                while not heard.is_set():
                    await call(writer, "track_progress", action="Did", description="it")
                    with anyio.move_on_after(0.2):
                        await heard.wait()


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_requests_without_a_valid_key_are_refused(project, mode):
    statuses = []

    async def note(response):
        statuses.append(response.status_code)

    with pytest.raises(Exception):
        async with connected(project[0], UNKNOWN, mode, responses=note) as client:
            await client.list_tools()
    assert set(statuses) == {401}, statuses


async def test_concurrent_calls_are_all_answered(project):
    async with connected(*project, "legacy") as client:
        await call(client, "initialize_memory_bank", path=".")
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(lambda n=number: call(client, "add_session_note", note=f"note <{n}>"))
        text = (await client.read_resource("memory-bank://active-context")).contents[0].text
        assert all(text.count(f"note <{number}>") == 1 for number in range(20))
