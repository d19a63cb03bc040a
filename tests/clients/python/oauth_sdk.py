"""The OAuth client of the official Python SDK, and what a person does in the browser that it opens.

As a program: `oauth_sdk.py URL LOGIN-CODE [DOCUMENT]` signs in and prints, as JSON, what came of it. With a document, the
client is known by that address; otherwise it registers itself. `oauth_sdk.py URL --ask MODE` prints the address that a
browser has to open, reads where the browser was sent to, and calls a tool twice, with an expired token in between.
"""

import html
import json
import re
import sys

import anyio
import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

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


def field(page, name):
    return html.unescape(re.search(f'name="{name}" value="([^"]*)"', page)[1])


async def allow(address, code, scopes=("read", "write")):
    """Signs in and allows; gives the parameters of the answer."""
    async with httpx2.AsyncClient(base_url=re.match(r"https?://[^/]+", address)[0]) as browser:
        page = (await browser.get(address)).text
        form = {"request": field(page, "request"), "token": field(page, "token"), "secret": code}
        signed = await browser.post("/oauth/sign-in", data=form)
        assert signed.status_code == 303, signed.text
        page = (await browser.get(signed.headers["location"])).text
        form = {"request": field(page, "request"), "token": field(page, "token"), "decision": "allow"}
        form |= {"project": re.search('<option value="([^"]+)"', page)[1]} | dict.fromkeys(scopes, "yes")
        answer = await browser.post("/oauth/authorize", data=form)
        assert answer.status_code == 200, answer.text
        # The page leads the browser to the application.
        onward = re.search('http-equiv="refresh" content="0;url=([^"]*)"', answer.text)[1]
        return httpx2.URL(html.unescape(onward)).params


def provider(url, storage, code, document=None):
    """The SDK's client, with a person who has a login code."""
    shown = []

    async def redirect(address):
        shown.append(address)

    async def callback():
        answer = await allow(shown[-1], code)
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer["iss"])

    metadata = OAuthClientMetadata(client_name="Python SDK", redirect_uris=[CALLBACK], token_endpoint_auth_method="none")
    return OAuthClientProvider(url, metadata, storage, redirect, callback, client_metadata_url=document)


def asking_provider(url, storage):
    """The SDK's client, with a person who is asked."""

    async def redirect(address):
        print(address, flush=True)

    async def callback():
        answer = httpx2.URL((await anyio.to_thread.run_sync(sys.stdin.readline)).strip()).params
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer.get("iss"))

    metadata = OAuthClientMetadata(client_name="Python SDK", redirect_uris=[CALLBACK], token_endpoint_auth_method="none", scope="read write")
    return OAuthClientProvider(url, metadata, storage, redirect, callback)


async def work(url, auth, mode):
    """Calls a tool; gives the text of its reply."""
    async with httpx2.AsyncClient(auth=auth, timeout=30) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, read_timeout_seconds=30, cache=None) as client:
            result = await client.call_tool("initialize_memory_bank", {"path": "."})
            assert not result.is_error, result.content
            return result.content[0].text


async def main(url, code, document=None):
    storage = Storage()
    if code == "--ask":
        auth = asking_provider(url, storage)
        text = await work(url, auth, document)
        auth.context.token_expiry_time = 1
        await work(url, auth, document)
        return print(json.dumps({"token": storage.tokens.access_token, "stored": storage.stored, "text": text}))
    text = await work(url, provider(url, storage, code, document), "auto")
    print(json.dumps({"client": storage.client.client_id, "scope": storage.tokens.scope, "text": text}))


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
