"""The OAuth client of an older version of the official Python SDK, whose newest revision of the protocol is 2025-06-18.

`oauth_client.py URL` prints the address that a browser has to open, reads where the browser was sent to, and calls a tool
twice, with an expired token in between. It prints what came of it as JSON.
"""

import json
import sys
from urllib.parse import parse_qs, urlsplit

import anyio
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.auth import OAuthClientMetadata

CALLBACK = "http://localhost:33418/callback"


class Storage:
    """What an application keeps."""

    def __init__(self):
        self.tokens = self.client = None
        self.stored = 0

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens, self.stored = tokens, self.stored + 1

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


async def redirect(address):
    print(address, flush=True)


async def callback():
    answer = parse_qs(urlsplit((await anyio.to_thread.run_sync(sys.stdin.readline)).strip()).query)
    return answer["code"][0], answer["state"][0]


async def work(url, auth, name, arguments):
    """Calls a tool; gives the revision of the protocol and the text of the reply."""
    async with streamablehttp_client(url, auth=auth) as (read, write, _):
        async with ClientSession(read, write) as session:
            revision = (await session.initialize()).protocolVersion
            result = await session.call_tool(name, arguments)
            assert not result.isError, result.content
            return revision, result.content[0].text


async def main(url):
    storage = Storage()
    metadata = OAuthClientMetadata(client_name="Older SDK", redirect_uris=[CALLBACK], token_endpoint_auth_method="none", scope="read write")
    auth = OAuthClientProvider(url, metadata, storage, redirect, callback)
    revision, _ = await work(url, auth, "initialize_memory_bank", {"path": "."})
    first = storage.tokens
    auth.context.token_expiry_time = 1
    _, text = await work(url, auth, "list_memory_bank_files", {})
    print(json.dumps({
        "revision": revision, "client": storage.client.client_id, "scope": first.scope, "stored": storage.stored,
        "is_new": storage.tokens.refresh_token != first.refresh_token, "text": text,
    }))


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
