//! The working sessions over REST: who made changes, through which client and with which tools.

use serde_json::{Value, json};

use crate::as_of::everywhere;

#[test]
fn sessions_name_their_clients_and_tools_and_keep_a_persons_changes_apart() {
    everywhere(|client, store| {
        client.call("initialize_memory_bank", &json!({"path": "."}));
        client.call("graph_upsert_entity", &json!({"name": "Api", "entityType": "service"}));
        client.call("graph_add_observation", &json!({"entity": "Api", "text": "is fast"}));
        // A person in the console, or a program over REST, uses no tool and has no session.
        let json_body = ("Content-Type", "application/json");
        let key = ("X-API-Key", client.server.key.as_str());
        let body = json!({"text": "# By hand\n"}).to_string();
        let written =
            client.server.send_bare("PUT", "/api/v1/document?filename=hand.md", &[key, json_body], &body);
        assert_eq!(written.status, 200, "{store}: {}", written.body);

        let shown = client.shown("/api/v1/sessions");
        let sessions = shown["sessions"].as_array().unwrap();
        let with = |document: &str| -> &Value {
            let has = |session: &&Value| session["documents"].as_array().unwrap().contains(&json!(document));
            sessions.iter().find(has).unwrap_or_else(|| panic!("{store}: {shown}"))
        };
        let by_hand = with("hand.md");
        assert_eq!(by_hand["tools"], json!([]), "{store}: {shown}");
        assert_eq!(by_hand["changes"], 1, "{store}: {shown}");
        assert_eq!((&by_hand["session"], &by_hand["client"]), (&Value::Null, &Value::Null), "{store}");
        let of_client = sessions.iter().find(|session| session["session"].is_string()).unwrap();
        let tools = of_client["tools"].as_array().unwrap();
        assert!(tools.contains(&json!("graph_add_observation")), "{store}: {shown}");
        assert!(of_client["client"].is_string(), "{store}: {shown}");
    });
}
