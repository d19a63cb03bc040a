//! Stored replies, streams and cancellation follow the scopes of a key.

use std::thread;

use serde_json::{Value, json};

use super::scoped_client::{Client, assert_silent, plant, worlds};
use crate::client::{JSON, Reply, call, until};
use crate::replica_set::{ReplicaSet, await_waiting};

/// The event id before the first event of a reply.
fn before_first(reply: &Reply) -> String {
    let id = reply.events()[0].0.clone();
    format!("{}0", id.strip_suffix('1').unwrap())
}

/// Resumes a stream and returns the replayed reply, if it comes before the first notification.
fn resumed(client: &Client<'_>, place: &str, notify: impl FnOnce()) -> Option<Value> {
    let mut stream = client.listen(Some(place));
    let first = {
        notify();
        stream.next()
    };
    first.filter(|message| message.get("method").is_none())
}

#[test]
fn a_stored_reply_is_replayed_only_to_keys_with_the_rights_of_its_call() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        plant(&owner);
        let read = call(11, "read_memory_bank_file", &json!({"filename": "notes.md"}));
        let write = call(12, "update_tasks", &json!({"add": ["one more"]}));
        let delete = call(13, "delete_memory_bank_file", &json!({"filename": "gone.md"}));
        let prompt =
            json!({"jsonrpc": "2.0", "id": 14, "method": "prompts/get", "params": {"name": "hand_over"}});
        let places = [read, write, delete, prompt].map(|message| before_first(&owner.post(&message)));
        let made = std::cell::Cell::new(0);
        // A new document causes the notification that ends the wait.
        let notify = || {
            made.set(made.get() + 1);
            let name = format!("notification-{}.md", made.get());
            owner.data("write_memory_bank_file", &json!({"filename": name, "content": "x"}));
        };
        for (index, place) in places.iter().enumerate() {
            let again = resumed(&owner, place, || {}).expect("the owner's own reply");
            assert_eq!(again["id"], json!(11 + index), "{again}");
        }
        let sees = |scopes: &[&str]| {
            let client = Client::with(&world.server, scopes).in_session_of(&owner);
            [0, 1, 2, 3].map(|index| resumed(&client, &places[index], notify).is_some())
        };
        assert_eq!(sees(&["read"]), [true, false, false, true]);
        assert_eq!(sees(&["read", "write"]), [true, true, false, true]);
        assert_eq!(sees(&["read", "admin"]), [true, false, true, true]);
        for scopes in [&["write"][..], &["admin"], &["write", "admin"]] {
            let blind = Client::with(&world.server, scopes).in_session_of(&owner);
            // Blind as well: a poll between the change and the end of the stream has the rights of then.
            let other =
                if scopes == ["write"] { json!({"scopes": ["admin"]}) } else { json!({"scopes": ["write"]}) };
            for place in &places {
                let mut stream = blind.listen(Some(place));
                notify();
                // The reply to its own call comes after the search for stored events; then the scopes change and the stream ends.
                let path = format!("/api/keys/{}", blind.id);
                blind.post(&call(15, "add_session_note", &json!({"note": "own"})));
                assert_eq!(world.server.send("PATCH", &path, &[JSON], &other.to_string()).status, 200);
                assert_eq!(stream.next(), None, "{scopes:?} got a stored reply or a notification");
                blind.change_scopes(scopes);
            }
        }
        // The same key after its scopes were reduced.
        let lowered = Client::with(&world.server, &["read", "write", "admin"]).in_session_of(&owner);
        assert!(resumed(&lowered, &places[1], || {}).is_some());
        lowered.change_scopes(&["read"]);
        assert!(
            resumed(&lowered, &places[1], notify).is_none(),
            "a reply of a time with more rights was replayed"
        );
    }
}

#[test]
fn a_write_only_key_can_replay_its_own_reply() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        plant(&owner);
        let writer = Client::with(&world.server, &["write"]);
        let reply = writer.post(&call(21, "update_tasks", &json!({"add": ["own"]})));
        let again = writer.listen(Some(&before_first(&reply))).next().unwrap();
        assert_eq!(again, reply.message());
        assert_silent("a replay", &again.to_string());
    }
}

#[test]
fn a_stream_ends_at_once_when_the_scopes_of_its_key_change() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        plant(&owner);
        let reader = Client::with(&world.server, &["read"]);
        assert_eq!(
            reader.request("resources/subscribe", &json!({"uri": "memory-bank://notes"}))["result"],
            json!({})
        );
        let mut stream = reader.listen(None);
        let mut other = world.server.listen_without_session_as(&reader.key, &["memory-bank://notes"]);
        reader.change_scopes(&["write"]);
        owner.data("write_memory_bank_file", &json!({"filename": "notes.md", "content": "x"}));
        owner.data("write_memory_bank_file", &json!({"filename": "newest.md", "content": "x"}));
        assert_eq!(stream.next(), None, "a notification was sent to a key without `read`");
        while let Some(message) = other.next() {
            assert!(
                message.get("result").is_some(),
                "a notification was sent to a key without `read`: {message}"
            );
        }
    }
}

#[test]
fn a_key_can_cancel_only_its_own_calls_also_when_ids_are_equal() {
    let replicas = ReplicaSet::new();
    let (first, second) = (replicas.replica(), replicas.replica());
    let owner = Client::with(&first, &["read", "write", "admin"]);
    owner.data("initialize_memory_bank", &json!({"path": "."}));
    for canceller in [&first, &second] {
        let made = Client::with(&first, &["read"]).in_session_of(&owner);
        let reader = Client { server: canceller, ..made };
        let held = replicas.hold_documents();
        let message = call(42, "track_progress", &json!({"action": "did", "description": "slow"}));
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 42}});
        let reply = thread::scope(|scope| {
            let request = scope.spawn(|| owner.post(&message));
            await_waiting(&replicas.database, 1);
            // A call of another key with the same id, which ends before the first one.
            let other = reader.post(&call(42, "get_instructions", &json!({})));
            assert_eq!(other.status, 200);
            assert_eq!(reader.post(&cancel).status, 202);
            drop(held);
            request.join().unwrap()
        });
        assert_eq!(reply.message()["id"], json!(42), "another key cancelled the call: {}", reply.body);
    }
    let held = replicas.hold_documents();
    let message = call(43, "track_progress", &json!({"action": "did", "description": "slow"}));
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 43}});
    let reader = Client::with(&first, &["read"]).in_session_of(&owner);
    let reply = thread::scope(|scope| {
        let request = scope.spawn(|| owner.post(&message));
        await_waiting(&replicas.database, 1);
        reader.post(&call(43, "get_instructions", &json!({})));
        assert_eq!(owner.post(&cancel).status, 202);
        request.join().unwrap()
    });
    drop(held);
    assert_eq!(reply.events(), [], "a key could not cancel its own call");
    until("the server", || owner.post(&call(1, "get_instructions", &json!({}))).status == 200);
}

#[test]
fn a_reply_is_withheld_from_a_key_that_lost_the_right_during_the_call() {
    let replicas = ReplicaSet::new();
    let server = replicas.replica();
    let owner = Client::with(&server, &["read", "write", "admin"]);
    plant(&owner);
    let lowered = Client::with(&server, &["read", "write"]);
    let held = replicas.hold_documents();
    let read = call(51, "read_memory_bank_file", &json!({"filename": "notes.md"}));
    let reply = thread::scope(|scope| {
        let request = scope.spawn(|| lowered.post(&read));
        await_waiting(&replicas.database, 1);
        lowered.change_scopes(&["write"]);
        drop(held);
        request.join().unwrap()
    });
    assert_silent("a call of a key that was lowered", &reply.body);
    assert!(
        reply.body.contains("rights of this key or token changed") || reply.body.contains("isError"),
        "{}",
        reply.body
    );
}
