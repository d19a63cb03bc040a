//! Start-up and shutdown of the process.

use std::time::Duration;

use tempfile::TempDir;

use crate::client::{Server, command, handshake};

#[test]
fn the_first_start_prints_a_key_and_stores_only_its_hash() {
    let mut server = Server::start(&[]);
    assert!(server.key.starts_with("mbmcp_live_") && server.key.len() == 43);
    assert_eq!(std::fs::read_dir(server.folder.path()).unwrap().count(), 0, "keys are stored in the project");
    let stored: Vec<_> = std::fs::read_dir(server.state.path().join("keys")).unwrap().flatten().collect();
    let stored: Vec<_> = stored.iter().map(|file| std::fs::read_to_string(file.path()).unwrap()).collect();
    assert!(stored.iter().any(|text| text.contains("mbmcp_live_")), "{stored:?}");
    assert!(stored.iter().all(|text| !text.contains(&server.key)));
    let take = |place: &mut TempDir| std::mem::replace(place, TempDir::new().unwrap());
    let (key, folder, state) = (server.key.clone(), take(&mut server.folder), take(&mut server.state));
    drop(server);
    let mut again = Server::start_again(folder, state, &[]);
    assert_eq!(again.key, "", "a second key was made");
    again.key = key;
    assert_eq!(again.send("GET", "/api/keys", &[], "").status, 200);
}

#[test]
fn sigterm_stops_the_server_gracefully_with_open_streams() {
    let mut server = Server::start(&[]);
    let session = server.initialize();
    let mut stream = server.listen(&session, None);
    let (code, took) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(stream.next(), None);
}

#[test]
fn a_log_at_level_warn_also_contains_the_request_id() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let variables = [("RUST_LOG", "warn"), ("MAX_SESSIONS_PER_PROJECT", "1")];
    let mut server = Server::start_with(TempDir::new().unwrap(), log.reopen().unwrap().into(), &variables);
    server.initialize();
    let refused = server.post(None, &handshake("2025-11-25"));
    assert_eq!(refused.status, 503, "{}", refused.body);
    server.terminate();
    let message = std::fs::read_to_string(log.path()).unwrap();
    let id = refused.header("x-request-id").unwrap();
    assert!(
        message.lines().any(|line| line.contains("503") && line.contains(id)),
        "{id} is not in {message}"
    );
}

#[test]
fn an_invalid_variable_stops_the_start_with_its_name_value_and_choices() {
    let wrong = [
        ("MCP_PORT", "99999"),
        ("DB_PROVIDER", "mysql"),
        ("TRUST_PROXY_HOPS", "many"),
        ("RUST_LOG", "memory_bank_server=loud"),
    ];
    for (name, value) in wrong {
        let folder = TempDir::new().unwrap();
        let output = command(&folder, &[(name, value)]).arg("serve").output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            message.contains(name) && message.contains(value) && message.contains("it takes"),
            "{message}"
        );
    }
    let folder = TempDir::new().unwrap();
    let output = command(&folder, &[("MCP_TRANSPORT", "sse")]).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("MCP_TRANSPORT"));
}

#[test]
fn an_unusable_state_folder_stops_the_start_and_names_the_setting() {
    let folder = TempDir::new().unwrap();
    let elsewhere =
        [("HOME", "/dev/null"), ("XDG_STATE_HOME", "/dev/null"), ("MEMORY_BANK_STATE_DIR", "/dev/null/x")];
    for variable in elsewhere {
        let output = command(&folder, &[variable]).arg("serve").output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("--state-dir") && message.contains("MEMORY_BANK_STATE_DIR"), "{message}");
    }
    let output = command(&folder, &[("MEMORY_BANK_STATE_DIR", "relative")]).arg("serve").output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("`MEMORY_BANK_STATE_DIR` is `relative`"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let mut flagged = command(&folder, &[("HOME", "/dev/null")]);
    let state = TempDir::new().unwrap();
    flagged.args(["doctor", "--json", "--state-dir"]).arg(state.path());
    assert_eq!(flagged.output().unwrap().status.code(), Some(0));
}
