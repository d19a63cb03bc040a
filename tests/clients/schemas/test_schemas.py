"""Converters of other projects accept the schema of every tool."""

import copy
import json
import os
from pathlib import Path

import anyio
import pytest
from agents.mcp import MCPServerStdio
from agents.mcp.util import MCPUtil
from fastmcp.client import Client as FastClient
from fastmcp.client.transports import StdioTransport
from google.genai import types as genai
from google.genai._mcp_utils import mcp_to_gemini_tools
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_mcp_adapters.sessions import create_session
from langchain_mcp_adapters.tools import load_mcp_tools
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.profiles.google import GoogleJsonSchemaTransformer
from pydantic_ai.profiles.openai import OpenAIJsonSchemaTransformer

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("MEMORY_BANK_MCP", str(ROOT / "target/debug/memory-bank-mcp"))

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def tools(tmp_path):
    parameters = StdioServerParameters(command=BINARY, cwd=tmp_path, env={"RUST_LOG": "warn"})
    async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
        await session.initialize()
        listed = (await session.list_tools()).tools
    assert len(listed) >= 39
    return listed


def without(tools, convert):
    """The tools that a converter refuses, with its messages."""
    lost = {}
    for tool in tools:
        try:
            convert(tool)
        except Exception as error:  # any exception of a converter loses the tool
            lost[tool.name] = f"{type(error).__name__}: {error}"
    return lost


def schema(tool):
    return copy.deepcopy(tool.inputSchema)


def objects(of):
    """Every schema of an object in a schema, also where it is one of several types."""
    if isinstance(of, dict):
        if "object" in ([of["type"]] if isinstance(of.get("type"), str) else of.get("type") or []):
            yield of
        for inner in of.values():
            yield from objects(inner)
    elif isinstance(of, list):
        for inner in of:
            yield from objects(inner)


def assert_strict(made):
    """The requirements of OpenAI's strict mode for every object."""
    for one in objects(made):
        assert one.get("additionalProperties") is False, one
        assert sorted(one.get("required", [])) == sorted(one.get("properties", {})), one


async def test_google_genai_converts_every_tool(tools):
    converted = mcp_to_gemini_tools(tools)
    assert [made.function_declarations[0].name for made in converted] == [tool.name for tool in tools]
    for made, tool in zip(converted, tools):
        declared = made.function_declarations[0].parameters
        assert sorted(declared.properties or {}) == sorted(tool.inputSchema["properties"]), tool.name
    assert without(tools, lambda tool: genai.FunctionDeclaration(name=tool.name, parameters_json_schema=schema(tool))) == {}
    assert without(tools, lambda tool: genai.Schema.from_json_schema(json_schema=genai.JSONSchema.model_validate(schema(tool)))) == {}


def has_types(of):
    """Gemini CLI's rule: a tool is skipped when one of its schemas has neither a type nor a union of typed schemas."""
    if not isinstance(of, dict):
        return True
    if "type" not in of:
        unions = [of[word] for word in ("anyOf", "allOf", "oneOf") if isinstance(of.get(word), list)]
        return bool(unions) and all(has_types(one) for union in unions for one in union)
    inner = [*(of.get("properties") or {}).values(), of.get("items")]
    return all(has_types(one) for one in inner)


async def test_gemini_cli_accepts_every_tool(tools):
    assert [tool.name for tool in tools if not has_types(schema(tool))] == []
    assert not has_types({"type": "object", "properties": {"mode": {"enum": ["a"]}}})


async def test_openai_strict_mode_accepts_every_tool(tools):
    server = MCPServerStdio({"command": BINARY})
    made = [MCPUtil.to_function_tool(tool, server, convert_schemas_to_strict=True) for tool in tools]
    assert [one.name for one in made if not one.strict_json_schema] == []
    for one in made:
        assert_strict(one.params_json_schema)


async def test_langchain_adapters_load_every_tool_in_strict_mode(tools, tmp_path):
    connection = {"transport": "stdio", "command": BINARY, "args": [], "cwd": str(tmp_path), "env": {"RUST_LOG": "warn"}}
    is_whole = False
    try:
        async with create_session(connection) as session:
            await session.initialize()
            loaded = await load_mcp_tools(session)
            assert [tool.name for tool in loaded] == [tool.name for tool in tools]
            assert without(loaded, lambda tool: convert_to_openai_tool(tool)) == {}
            made = await next(tool for tool in loaded if tool.name == "initialize_memory_bank").ainvoke({"path": "."})
            assert "Memory Bank initialized" in json.dumps(made, default=str)
            is_whole = True
    except* anyio.BrokenResourceError:
        # The SDK fails if a notification arrives while it closes.
        pass
    assert is_whole

    def strict(tool):
        described = {"title": tool.name, "description": tool.description, **schema(tool)}
        assert_strict(convert_to_openai_tool(described, strict=True)["function"]["parameters"])

    assert without(tools, strict) == {}


async def test_pydantic_ai_accepts_every_tool_for_openai_and_google(tools, tmp_path):
    client = FastClient(StdioTransport(command=BINARY, args=[], cwd=str(tmp_path), env={"RUST_LOG": "warn"}))
    async with MCPToolset(client) as toolset:
        assert [tool.name for tool in await toolset.list_tools()] == [tool.name for tool in tools]
        made = await toolset.direct_call_tool("initialize_memory_bank", {"path": "."})
        assert "progress.md" in json.dumps(made, default=str)
    assert without(tools, lambda tool: assert_strict(OpenAIJsonSchemaTransformer(schema(tool), strict=True).walk())) == {}
    assert without(tools, lambda tool: GoogleJsonSchemaTransformer(schema(tool)).walk()) == {}
