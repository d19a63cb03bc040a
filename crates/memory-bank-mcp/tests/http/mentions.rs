//! The documents that point to an entity, over REST, on a folder and on PostgreSQL.

use serde_json::json;

use crate::as_of::everywhere;

#[test]
fn documents_that_have_the_name_of_an_entity_are_listed_with_their_places() {
    everywhere(|client, store| {
        client.call("initialize_memory_bank", &json!({"path": "."}));
        client.call("graph_upsert_entity", &json!({"name": "Billing-Service", "entityType": "service"}));
        let mentions = |query: &str| client.shown(&format!("/api/v1/graph/mentions?{query}"));
        assert_eq!(mentions("name=Billing-Service"), json!({"documents": [], "documentsLeft": 0}), "{store}");

        // Both documents say the same: neither stands for the other one.
        let same = "# Notes\n\n- The billing-service is slow.\n\n## Later\n\nsee [[Billing-Service]] or [[invoice-db]]\n";
        client.write("plans/mentions.md", same);
        client.write("again.md", same);
        client.write("other.md", "# Else\n\nthe billing-service-team, and billing\n");
        let place = |line: u32, content: &str, path: &[&str]| json!({"line": line, "content": content, "headingPath": path});
        let document = |file: &str| {
            json!({"file": file, "lines": 2, "places": [
                place(3, "- The billing-service is slow.", &["Notes"]),
                place(7, "see [[Billing-Service]] or [[invoice-db]]", &["Notes", "Later"]),
            ]})
        };
        let both =
            json!({"documents": [document("again.md"), document("plans/mentions.md")], "documentsLeft": 0});
        assert_eq!(mentions("name=Billing-Service"), both, "{store}");
        let entity = client.shown("/api/v1/graph/entity?name=Billing-Service");
        let id = entity["entity"]["id"].as_str().unwrap();
        assert_eq!(mentions(&format!("name={id}")), both, "{store}");
        let first = json!({"documents": [document("again.md")], "documentsLeft": 1});
        assert_eq!(mentions("name=Billing-Service&limit=1"), first, "{store}");

        client.call("delete_memory_bank_file", &json!({"filename": "again.md"}));
        assert_eq!(
            mentions("name=Billing-Service"),
            json!({"documents": [document("plans/mentions.md")], "documentsLeft": 0})
        );
        for (path, status) in [
            ("name=Nobody", 404),
            ("name=Billing-Service&limit=0", 400),
            ("name=Billing-Service&limit=101", 400),
            ("name=", 400),
            ("", 400),
        ] {
            let reply = client.get(&format!("/api/v1/graph/mentions?{path}"));
            assert_eq!(reply.status, status, "{store} {path}: {}", reply.body);
        }
    });
}
