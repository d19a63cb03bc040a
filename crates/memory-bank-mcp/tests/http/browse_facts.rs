//! The commands for people: the graph, and facts and decisions that end, now and at a day of the past.

use memory_bank_core::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::browse::{ATTACK, Shell, bank, everywhere, on_folder};
use crate::client::Server;

#[test]
fn the_graph_is_searched_and_opened() {
    let server = Server::start_in(bank(), &[]);
    let session = server.initialize();
    server.call(
        &session,
        "graph_upsert_entity",
        &json!({"name": "Redis", "entityType": "technology", "attrs": {"port": 6379}}),
    );
    server.call(&session, "graph_upsert_entity", &json!({"name": "API", "entityType": "service"}));
    server.call(
        &session,
        "graph_add_observation",
        &json!({"entity": "Redis", "text": format!("holds sessions {ATTACK}")}),
    );
    server.call(
        &session,
        "graph_link_entities",
        &json!({"from": "API", "to": "Redis", "relationType": "uses"}),
    );
    let url = format!("http://{}/mcp", server.address);
    let elsewhere = TempDir::new().unwrap();
    let of_server = Shell {
        folder: &elsewhere,
        variables: vec![("MEMORY_BANK_URL", url.as_str()), ("MEMORY_BANK_API_KEY", server.key.as_str())],
    };
    // The server has the folder open at the same time.
    for shell in [&of_server, &on_folder(&server.folder)] {
        let found = shell.text(&["graph", "search", "sessions"]);
        assert!(found.contains("Redis  technology") && found.contains("holds sessions"), "{found}");
        let opened = shell.text(&["graph", "open", "redis"]);
        for part in ["Redis  technology", "• ", "port: 6379", "← uses API"] {
            assert!(opened.contains(part), "{part} in {opened}");
        }
        assert!(!found.contains('\u{1b}') && !opened.contains('\u{1b}'), "{opened:?}");
        let data = shell.json(&["graph", "open", "Redis"]);
        assert_eq!(data["relations"][0]["relationType"], json!("uses"));
        let (code, error) = shell.refused(&["graph", "search", "xylophone"]);
        assert!(code == 1 && error.contains("xylophone"), "{error}");
        assert_eq!(shell.refused(&["graph", "open", "nobody"]).0, 1);
        assert!(shell.text(&["graph", "search", "*"]).contains("API  service"));
    }
}

#[test]
fn facts_are_shown_with_their_bounds() {
    let folder = bank();
    let server = Server::start_in(folder, &[]);
    let session = server.initialize();
    let add = |text: &str, more: Value| {
        let mut arguments = json!({"entity": "Api", "text": text});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.call(&session, "graph_add_observation", &arguments);
    };
    server.call(&session, "graph_upsert_entity", &json!({"name": "Api", "entityType": "service"}));
    add("version is 1", json!({}));
    add("version is 2", json!({"supersedes": "version is 1"}));
    add("version is 3", json!({"validFrom": "2999-12-24", "validUntil": "2999-12-31"}));
    add("version is 0", json!({"validUntil": "2020-11-01"}));
    add("on call", json!({"expiresAt": "2998-01-01T10:00:00Z"}));
    let shell = on_folder(&server.folder);
    for words in [["graph", "open", "Api"], ["graph", "search", "api"], ["graph", "search", "version call"]] {
        let shown = shell.text(&words);
        assert!(shown.contains("version is 3  from 2999-12-24, until 2999-12-31\n"), "{shown}");
        assert!(shown.contains("on call  expires 2998-01-01T10:00Z\n"), "{shown}");
        assert!(shown.contains("version is 2\n"), "{shown}");
        let all = shell.text(&[&words[..], &["--include-ended"]].concat());
        assert!(all.contains("version is 0  ended 2020-11-01\n"), "{all}");
        let replaced = all.lines().find(|line| line.contains("version is 1")).unwrap();
        assert!(replaced.contains("  ended 20") && replaced.contains(", replaced by "), "{all}");
        assert!(words[2] == "api" || replaced.ends_with(", replaced by version is 2"), "{all}");
    }
}

/// A time between two changes, for `--as-of`.
fn moment() -> String {
    let pause = || std::thread::sleep(std::time::Duration::from_millis(20));
    pause();
    let now = SystemClock.now().to_string();
    pause();
    now
}

#[test]
fn ended_decisions_are_left_out_and_counted() {
    everywhere(|shell, place| {
        let add = |words: &[&str]| shell.text(&[&["add-decision"], words].concat());
        add(&["Use zebras", "--decision", "zebras pull it", "--valid-until", "2001-01-01"]);
        add(&["Use walruses", "--decision", "walruses pull it", "--valid-from", "2999-01-01"]);
        let long = add(&["Use giraffes", "--decision", "giraffes pull it", "--supersedes", "Use zebras"]);
        assert!(long.contains("it replaces Use zebras ("), "{place}: {long}");
        let digest = shell.text(&["digest"]);
        assert!(!digest.contains("zebras") && digest.contains("giraffes pull it"), "{place}: {digest}");
        assert!(digest.contains("will hold: Use walruses (from 2999-01-01)"), "{place}: {digest}");
        assert!(
            digest.contains("2 decisions have not begun or have ended; `--include-ended`"),
            "{place}: {digest}"
        );
        let all = shell.text(&["digest", "--include-ended"]);
        assert!(all.contains("zebras pull it") && !all.contains("ended;"), "{place}: {all}");
        let (code, error) = shell.refused(&["search", "zebras pull", "--file", "decision-log.md"]);
        assert!(code == 1 || error.contains("ended; `--include-ended`"), "{place}: {code} {error}");
        let found = shell.text(&["search", "zebras pull", "--include-ended", "--file", "decision-log.md"]);
        assert!(found.contains("zebras pull it"), "{place}: {found}");
        let output = shell.run(&["search", "pull it", "--file", "decision-log.md"]);
        let (lines, note) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(lines.contains("giraffes pull it") && !lines.contains("zebras pull it"), "{place}: {lines}");
        assert!(
            note.contains("lines are of decisions that have ended; `--include-ended` shows them"),
            "{place}: {note}"
        );
    });
}

#[test]
fn what_was_known_at_a_time_is_shown() {
    everywhere(|shell, place| {
        shell.text(&["add-decision", "Use zebras", "--decision", "zebras pull it"]);
        let then = moment();
        shell.text(&[
            "add-decision",
            "Use giraffes",
            "--decision",
            "giraffes pull it",
            "--supersedes",
            "Use zebras",
        ]);
        let log = shell.text(&["show", "decision-log.md", "--as-of", &then]);
        assert!(log.contains("zebras pull it") && !log.contains("giraffes"), "{place}: {log}");
        assert!(!log.contains("Superseded By"), "{place}: {log}");
        let found = shell.text(&["search", "zebras", "--as-of", &then]);
        assert!(found.contains("zebras pull it"), "{place}: {found}");
        let (code, _) = shell.refused(&["search", "giraffes", "--as-of", &then]);
        assert_eq!(code, 1, "{place}");
        let digest = shell.text(&["digest", "--as-of", &then]);
        assert!(digest.contains("zebras pull it") && !digest.contains("giraffes"), "{place}: {digest}");
        let now = shell.text(&["digest"]);
        assert!(!now.contains("zebras pull it") && now.contains("giraffes"), "{place}: {now}");
        for words in [&["show", "decision-log.md"][..], &["search", "x"], &["digest"]] {
            let (code, error) = shell.refused(&[words, &["--as-of", "soon"]].concat());
            assert!(code == 1 && error.contains("asOf `soon` is neither"), "{place}: {error}");
        }
        let (code, error) = shell.refused(&["show", "decision-log.md", "--as-of", "2001-01-01"]);
        assert!(code == 1 && error.contains("2001-01-01") || error.contains("that time"), "{place}: {error}");
    });
}

#[test]
fn a_graph_of_a_time_has_what_was_deleted_and_names_what_is_missing() {
    let server = Server::start_in(bank(), &[]);
    let session = server.initialize();
    let tool = |name: &str, arguments: Value| server.call(&session, name, &arguments);
    let entity = |name: &str| tool("graph_upsert_entity", json!({"name": name, "entityType": "service"}));
    entity("Api");
    entity("Db");
    tool("graph_add_observation", json!({"entity": "Db", "text": "stores walruses"}));
    let then = moment();
    tool("graph_delete_entity", json!({"entity": "Db"}));
    entity("Later");
    tool("graph_add_observation", json!({"entity": "Api", "text": "is fast"}));
    let url = format!("http://{}/mcp", server.address);
    let elsewhere = TempDir::new().unwrap();
    let variables = vec![("MEMORY_BANK_URL", url.as_str()), ("MEMORY_BANK_API_KEY", server.key.as_str())];
    let shells = [Shell { folder: &elsewhere, variables }, on_folder(&server.folder)];
    for shell in &shells {
        let found = shell.text(&["graph", "search", "walruses", "--as-of", &then]);
        assert!(found.contains("stores walruses") && !found.contains("history"), "{found}");
        let open = shell.text(&["graph", "open", "Db", "Later", "--as-of", &then]);
        assert!(open.contains("stores walruses"), "{open}");
        assert!(open.contains("not in the graph at that time: Later"), "{open}");
        let (code, error) = shell.refused(&["graph", "open", "Later", "--as-of", &then]);
        assert!(code == 1 && error.contains("not in the graph at that time: Later"), "{error}");
    }
    tool("history", json!({"action": "erase", "entity": "Api"}));
    for shell in &shells {
        for words in [&["graph", "open", "Db"][..], &["graph", "search", "*"], &["digest"]] {
            let shown = shell.text(&[words, &["--as-of", &then]].concat());
            assert!(shown.contains("does not reach back"), "{words:?}: {shown}");
        }
        let (_, error) = shell.refused(&["graph", "search", "nothing", "--as-of", &then]);
        assert!(error.contains("does not reach back"), "{error}");
    }
}

#[test]
fn a_digest_names_what_others_changed_since_the_user_was_here() {
    let folder = bank();
    let shell = on_folder(&folder);
    let add = |user: &str, title: &str| {
        shell.text(&["-u", user, "add-decision", title, "--decision", "d"]);
    };
    let news = |user: &str| {
        let data = shell.json(&["-u", user, "digest"]);
        data["digest"]["sinceLastSession"].as_str().map(str::to_owned)
    };
    add("alice", "Use zebras");
    assert_eq!(news("alice"), None, "own changes are no news");
    assert_eq!(news("carla"), None, "nothing is known of a user who was never here");
    add("bob", "Use giraffes");
    let seen = news("alice").unwrap();
    assert!(
        seen.starts_with("since 20") && seen.ends_with("UTC: decision-log.md (bob), progress.md (bob)")
            || seen.ends_with("UTC: progress.md (bob), decision-log.md (bob)"),
        "{seen}"
    );
    assert!(shell.text(&["-u", "alice", "digest"]).contains("decision-log.md (bob)"));
    assert_eq!(news("bob"), None);
    add("alice", "Use walruses");
    assert_eq!(news("alice"), None);
}
