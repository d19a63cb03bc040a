"""Traefik's files and the Ingress route every path of OAuth and of the console that the server has. Nothing is started: the paths are those of
the server's own router, and the rules are evaluated as the proxies do."""

import re

import pytest
import yaml
from conftest import ROOT

HTTP = ROOT / "crates" / "memory-bank-server" / "src" / "http"
OAUTH = HTTP / "oauth"
TRAEFIK = [ROOT / "deploy" / "traefik" / name for name in ("routes.yml", "routes-tls.yml")]
INGRESS = ROOT / "deploy" / "kubernetes" / "ingress.yaml"
SERVER = "mbmcp-server"
MATCHER = r"(PathPrefix|Path|Host)\(`([^`]*)`\)"


def router_paths():
    """The paths of the routers of OAuth and of the console."""
    paths = [path for file in ("oauth/routes.rs", "console.rs") for path in re.findall(r'\.route\(\s*"([^"]+)"', (HTTP / file).read_text())]
    assert {"/oauth/authorize", "/.well-known/oauth-protected-resource/mcp", "/app", "/app/session"} <= set(paths)
    return paths


PATHS = router_paths()


def traefik_rules(text):
    """The rules of Traefik's routers to the server, by their names. The files are templates, so they are read by lines."""
    routers = re.findall(r"^    ([\w-]+):\n      rule: (.*)\n(?:      .*\n)*?      service: (\S+)\n", text, re.MULTILINE)
    return {name: rule for name, rule, service in routers if service == SERVER}


def traefik_matches(rule, path):
    """Whether a rule of Traefik matches a request for the right host with this path."""
    def truth(found):
        kind, value = found.groups()
        return str({"Host": True, "Path": path == value, "PathPrefix": path.startswith(value)}[kind])

    expression = re.sub(MATCHER, truth, rule).replace("&&", "and").replace("||", "or")
    assert re.fullmatch(r"(True|False|and|or|[() ])+", expression), f"a rule that this test cannot evaluate: {rule}"
    return eval(expression, {"__builtins__": {}})


def missing_from_traefik(text):
    """The router and path of each path that a router to the server does not route."""
    return {(name, path) for name, rule in traefik_rules(text).items() for path in PATHS if not traefik_matches(rule, path)}


def missing_from_ingress(manifest):
    """The host and path of each path that a rule does not route to the server."""
    def routes(entry, path):
        value = entry["path"].rstrip("/")
        # A prefix ends at a slash.
        is_below = entry["pathType"] == "Prefix" and path.startswith(value + "/")
        return entry["backend"]["service"]["name"] == "memory-bank-mcp" and (path == value or is_below)

    rules = manifest["spec"]["rules"]
    return {(rule["host"], path) for rule in rules for path in PATHS
            if not any(routes(entry, path) for entry in rule["http"]["paths"])}


def test_the_server_s_list_of_routes_has_the_same_paths():
    listed = re.findall(r'Route \{ path: "([^"]+)"', (OAUTH.parent / "routes.rs").read_text())
    # A slash at the end makes no other page.
    assert set(PATHS) - {"/app/"} == {path for path in listed if path.startswith(("/oauth", "/.well-known", "/app"))}


def test_the_metadata_name_paths_of_the_router():
    named = set(re.findall(r'server\.path\("([^"]+)"\)', (OAUTH / "metadata.rs").read_text()))
    assert {"/oauth/token", "/oauth/register"} <= named <= set(PATHS)


@pytest.mark.parametrize("file", TRAEFIK, ids=lambda file: file.name)
def test_every_router_of_traefik_routes_every_path(file):
    text = file.read_text()
    # No router to the server is overlooked.
    services = re.findall(rf"^      service: {SERVER}$", text, re.MULTILINE)
    assert len(traefik_rules(text)) == len(services) >= 1
    assert missing_from_traefik(text) == set()
    for rule in traefik_rules(text).values():
        for path in ["/", "/metrics", "/oauth", "/apple", "/.well-known/acme-challenge/x", "/.well-known/openid-configuration/x"]:
            assert not traefik_matches(rule, path), (rule, path)


def test_the_ingress_routes_every_path():
    assert missing_from_ingress(yaml.safe_load(INGRESS.read_text())) == set()


@pytest.mark.parametrize("file", TRAEFIK, ids=lambda file: file.name)
@pytest.mark.parametrize("value", ["/app", "/app/", "/oauth/", "/.well-known/oauth-", "/.well-known/openid-configuration"])
def test_a_route_that_is_removed_from_traefik_is_noticed(file, value):
    text = file.read_text()
    matchers = [match for match in re.finditer(MATCHER, text) if match[2] == value]
    routers = traefik_rules(text)
    assert len(matchers) == len(routers)
    for name, match in zip(routers, matchers):
        without = text[:match.start()] + "Path(`/gone`)" + text[match.end():]
        kind = match[1]
        expected = {path for path in PATHS if path == value or (kind == "PathPrefix" and path.startswith(value))}
        assert expected and missing_from_traefik(without) == {(name, path) for path in expected}


def test_a_route_that_is_removed_from_the_ingress_is_noticed():
    whole = yaml.safe_load(INGRESS.read_text())
    entries = whole["spec"]["rules"][0]["http"]["paths"]
    removed = [entry for entry in entries if entry["path"].startswith(("/app", "/oauth", "/.well-known"))]
    assert len(removed) == 5
    noticed = set()
    for entry in removed:
        whole["spec"]["rules"][0]["http"]["paths"] = [other for other in entries if other is not entry]
        missing = {path for _, path in missing_from_ingress(whole)}
        assert missing, entry["path"]
        noticed |= missing
    assert noticed == set(PATHS)
    # A router to another service is no route to the server.
    removed[0]["backend"]["service"]["name"] = "other"
    whole["spec"]["rules"][0]["http"]["paths"] = entries
    assert missing_from_ingress(whole)
