//! All places with the server's version have the same one.

use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};

use crate::client::{Server, command, handshake};

/// The one version, as Cargo has it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A file of the repository.
fn repository(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The first group of a pattern in a text.
fn named(text: &str, pattern: &str) -> String {
    let found = Regex::new(pattern).unwrap().captures(text);
    found.unwrap_or_else(|| panic!("nothing matches {pattern}"))[1].to_owned()
}

#[test]
fn crates_server_changelog_image_and_openapi_have_the_same_version() {
    let server = Server::start(&[]);
    let hello = server.post(None, &handshake("2025-11-25")).message();
    let described = server.send_bare("GET", "/api/openapi.json", &[], "").json();
    let discovered = server.send_sessionless("server/discover", None, &json!({})).message();
    let printed = command(&server.folder, &[]).arg("--version").output().unwrap().stdout;
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned();
    let manifest = repository("Cargo.toml");
    let lock = repository("Cargo.lock");
    let mut versions = vec![
        ("Cargo.toml", named(&manifest, r#"(?m)^version = "([^"]+)"$"#)),
        ("serverInfo", text(&hello["result"]["serverInfo"]["version"])),
        ("server/discover", named(&discovered.to_string(), r#""version":"([^"]+)""#)),
        ("OpenAPI", text(&described["info"]["version"])),
        ("--version", named(&String::from_utf8(printed).unwrap(), r"^memory-bank-mcp (\S+)\n$")),
        ("CHANGELOG.md", named(&repository("CHANGELOG.md"), r"(?m)^## \[([^\]]+)\]")),
        (
            "deploy/Dockerfile",
            named(&repository("deploy/Dockerfile"), r#"org\.opencontainers\.image\.version="([^"]+)""#),
        ),
    ];
    let members = Regex::new(r#"(?m)^name = "(memory-bank-[a-z-]+)"\nversion = "([^"]+)""#).unwrap();
    let locked: Vec<String> = members.captures_iter(&lock).map(|found| found[2].to_owned()).collect();
    assert!(locked.len() >= 7, "{locked:?}");
    versions.extend(locked.into_iter().map(|version| ("Cargo.lock", version)));
    for (place, version) in versions {
        assert_eq!(version, VERSION, "{place}");
    }
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap() {
        let path = entry.unwrap().path().join("Cargo.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\nversion.workspace = true\n"), "{} has a version of its own", path.display());
    }
}

/// The tag is the one of docs/deployment-guide.md; it distinguishes the image of this server from others of the same name.
#[test]
fn the_image_tag_is_the_one_in_the_deployment_guide() {
    const TAG: &str = "1.8.0-http-pg-redis";
    assert!(repository("docs/configuration.md").contains(&format!("| `DOCKER_TAG` | `{TAG}` |")));
    assert_eq!(named(&repository("deploy/kubernetes/kustomization.yaml"), r"(?m)^\s*newTag: (\S+)$"), TAG);
    // The Compose file may lie at the root, where `docker compose` finds it by itself.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let compose = ["docker-compose.yml", "deploy/compose.yml"]
        .into_iter()
        .find(|path| fs::read_to_string(root.join(path)).is_ok_and(|text| text.contains("DOCKER_TAG")));
    let compose = repository(compose.expect("no Compose file names `DOCKER_TAG`"));
    assert_eq!(named(&compose, r"\$\{DOCKER_TAG:-([^}]+)\}"), TAG);
}
