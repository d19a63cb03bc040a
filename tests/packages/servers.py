"""What a user installs from, on this machine: a registry of npm packages and a file server. Needs nothing but Python."""

import base64
import contextlib
import functools
import hashlib
import http.server
import io
import json
import os
import tarfile
import threading
import urllib.parse


@contextlib.contextmanager
def serving(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def files(folder):
    """Serves a folder with its listings; the address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with serving(functools.partial(Quiet, directory=folder)) as address:
        yield address


@contextlib.contextmanager
def npm_registry(dist):
    """Serves the packed files as the registry of npm does, and nothing else; the address."""
    packages, tarballs = {}, {}
    for path in sorted((dist / "npm").iterdir()):
        content = path.read_bytes()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            manifest = json.load(archive.extractfile("package/package.json"))
        tarballs[path.name] = content
        packages[manifest["name"]] = (manifest, path.name, content)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = urllib.parse.unquote(self.path.lstrip("/"))
            if name in tarballs:
                return self.answer(tarballs[name], "application/octet-stream")
            if name not in packages:
                return self.send_error(404)
            manifest, file, content = packages[name]
            digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
            address = f"http://127.0.0.1:{self.server.server_port}/{file}"
            entry = {**manifest, "dist": {"tarball": address, "integrity": f"sha512-{digest}"}}
            version = manifest["version"]
            packument = {"name": name, "dist-tags": {"latest": version}, "versions": {version: entry}}
            return self.answer(json.dumps(packument).encode(), "application/json")

        def answer(self, content, kind):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with serving(Handler) as address:
        yield f"{address}/"


def npm_environment(registry, folder):
    """The environment of an npm that knows this registry alone, with a cache and a home of its own in a folder."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().startswith("npm_config_")}
    return {
        **kept,
        "HOME": str(folder / "home"),
        "npm_config_registry": registry,
        "npm_config_cache": str(folder / "cache"),
        "npm_config_userconfig": str(folder / "npmrc"),
        "npm_config_globalconfig": str(folder / "globalrc"),
        "npm_config_fund": "false",
        "npm_config_audit": "false",
        "npm_config_update_notifier": "false",
    }
