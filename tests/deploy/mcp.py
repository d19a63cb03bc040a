"""The little of MCP over HTTP that these tests speak."""

import http.client
import json


def send(address, method, path, key=None, body=None, session=None, name="localhost"):
    """Status, headers and body of one request on a connection of its own, addressed to a host of that name."""
    host, port = address
    connection = http.client.HTTPConnection(host, port, timeout=30)
    headers = {"Host": name, "Accept": "application/json, text/event-stream"}
    if key:
        headers["X-API-Key"] = key
    if session:
        headers["Mcp-Session-Id"] = session
    if body is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(body)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text


def initialize(address, key, name="localhost"):
    """The id of a new session."""
    status, headers, text = send(address, "POST", "/mcp", key, name=name, body={
        "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}})
    assert status == 200, text
    return headers["Mcp-Session-Id"]


def call(address, key, session, tool, **arguments):
    """The text of a tool's answer."""
    status, _, text = send(address, "POST", "/mcp", key, session=session, body={
        "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
    assert status == 200, text
    data = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    replies = [json.loads(one) for one in (data or [text]) if one.strip()]
    result = next(reply["result"] for reply in replies if reply.get("id") == 2)
    assert not result.get("isError"), result
    return result["content"][0]["text"]
