"""The official Python SDK, in both eras of the protocol, on a folder that the TypeScript server wrote."""

import json
import os
import shutil
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("MEMORY_BANK_MCP", str(ROOT / "target/debug/memory-bank-mcp"))
FIXTURE = ROOT / "tests/fixtures/original-project"
ERAS = {"legacy": "2025-11-25", "auto": "2026-07-28", "2026-07-28": "2026-07-28"}

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def project(tmp_path):
    copy = tmp_path / "shop"
    shutil.copytree(FIXTURE, copy)
    registry = copy / "stores.json"
    registry.write_text(registry.read_text().replace("/home/alice/", f"{tmp_path}/"))
    return copy


@asynccontextmanager
async def connected(project, mode="auto"):
    parameters = StdioServerParameters(command=BINARY, cwd=project, env={"RUST_LOG": "warn"})
    async with Client(parameters, mode=mode, read_timeout_seconds=20, cache=None) as client:
        yield client


async def call(client, name, **arguments):
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content[0].text
    return result


@pytest.mark.parametrize("mode", ERAS)
async def test_the_sdk_negotiates_the_newest_version(project, mode):
    async with connected(project, mode) as client:
        assert client.protocol_version == ERAS[mode]
        assert len((await client.list_tools()).tools) == 42


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_handshake_or_discovery_carries_name_and_instructions(project, mode):
    async with connected(project, mode) as client:
        assert client.server_info.version[0].isdigit()
        assert "memory" in client.instructions.lower()


@pytest.mark.parametrize("mode", ERAS)
async def test_text_and_structured_content_of_a_tool_agree(project, mode):
    async with connected(project, mode) as client:
        for name, arguments in {
            "get_memory_bank_status": {},
            "get_context_digest": {},
            "read_memory_bank_file": {"filename": "payments.md"},
            "batch_read_files": {"files": ["progress.md", "missing.md"]},
            "search_memory_bank": {"query": "pick-up slot"},
            "graph_search": {"query": "*", "limit": 50},
            "get_targeted_context": {"query": "how often are webhooks retried"},
        }.items():
            result = await call(client, name, **arguments)
            text = result.content[0].text
            expected = json.loads(text) if len(text.encode()) < 2048 else None
            assert result.structured_content == expected, name


@pytest.mark.parametrize("mode", ERAS)
async def test_a_resource_shows_text_written_by_a_tool(project, mode):
    async with connected(project, mode) as client:
        await call(client, "track_progress", action="Did", description="größer & schöner $& 日本語")
        read = await client.read_resource("memory-bank://progress")
        assert "- Did: größer & schöner $& 日本語\n" in read.contents[0].text
        on_disk = (project / "memory-bank/progress.md").read_bytes().decode()
        assert read.contents[0].text == on_disk


async def test_a_failed_tool_and_wrong_arguments_are_results_and_an_unknown_tool_an_error(project):
    async with connected(project) as client:
        failed = await client.call_tool("read_memory_bank_file", {"filename": "missing.md"})
        assert failed.is_error
        missing = await client.call_tool("read_memory_bank_file", {})
        assert missing.is_error and "`filename` is required" in missing.content[0].text
        with pytest.raises(MCPError, match="Unknown tool") as refused:
            await client.call_tool("no_such_tool", {})
        assert refused.value.error.code == -32602


async def test_prompts_are_filled_and_document_names_completed(project):
    async with connected(project) as client:
        prompts = (await client.list_prompts()).prompts
        assert len(prompts) == 5
        known = {"mode": "code", "entity": "Checkout Service"}
        for prompt in prompts:
            arguments = {a.name: known.get(a.name, "Use a queue") for a in prompt.arguments or []}
            assert (await client.get_prompt(prompt.name, arguments)).messages
        templates = (await client.list_resource_templates()).resource_templates
        assert len(templates) == 1


async def test_an_open_subscription_is_notified_of_a_change_by_an_editor(project):
    uri = "memory-bank://payments"
    async with connected(project, "2026-07-28") as client:
        async with client.listen(resource_subscriptions=[uri]) as events:
            assert events.honored.resource_subscriptions == [uri]
            (project / "memory-bank/payments.md").write_text("# Changed outside\n")
            with anyio.fail_after(10):
                event = await anext(events)
            assert event.uri == uri


async def test_concurrent_calls_are_all_answered(project):
    async with connected(project) as client:
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(lambda n=number: call(client, "add_session_note", note=f"note <{n}>"))
    text = (project / "memory-bank/active-context.md").read_text()
    assert all(text.count(f"note <{number}>") == 1 for number in range(50))
