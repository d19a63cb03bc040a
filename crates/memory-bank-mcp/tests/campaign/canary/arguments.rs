//! Arguments of tools, made from their schemas: mostly valid, some of the other project, some malformed.

use serde_json::{Map, Value, json};

use super::tenant::{CanaryLocation, Kind, Tenant};
use crate::harness::random::Random;

/// Words that the documents of both projects contain.
pub(crate) const COMMON: [&str; 6] = ["common", "harvest", "bridge", "lantern", "compass", "granite"];

/// Makes arguments for a member of one project.
pub(crate) struct Maker<'a> {
    pub(crate) own: &'a Tenant,
    /// The project whose names and ids are used.
    pub(crate) named: &'a Tenant,
    pub(crate) random: &'a mut Random,
    /// Whether some values have a wrong type or make no sense.
    pub(crate) malformed: bool,
}

impl Maker<'_> {
    /// Arguments for a tool with this schema.
    pub(crate) fn arguments(&mut self, tool: &str, schema: &Value) -> Value {
        let mut made = self.object(schema);
        if tool == "sequential_thinking" && self.random.chance(80) {
            made.retain(|name, _| name == "sessionId");
            for (name, value) in [("nextThoughtNeeded", json!(true)), ("thoughtNumber", json!(1))] {
                made.insert(name.to_owned(), value);
            }
            made.insert("totalThoughts".to_owned(), json!(2));
            made.insert("thought".to_owned(), json!(self.sentence()));
        }
        // Arguments that exclude each other, or are needed although the schema cannot express it.
        match tool {
            "graph_delete_entity" if self.random.chance(50) => {
                made.retain(|name, _| name != "entity");
                made.insert("observationId".to_owned(), json!(self.thing(Kind::Observation)));
            }
            "graph_delete_entity" => {
                made.retain(|name, _| name != "observationId");
                made.insert("entity".to_owned(), json!(self.thing(Kind::EntityName)));
            }
            "select_store" if self.random.chance(50) => {
                made = Map::from_iter([("storeId".to_owned(), json!(self.named.slug))]);
            }
            _ => {}
        }
        Value::Object(made)
    }

    fn object(&mut self, schema: &Value) -> Map<String, Value> {
        let mut made = Map::new();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, described) in schema["properties"].as_object().into_iter().flatten() {
            let wanted = required.contains(&json!(name));
            // A stale etag or a wrong store would make most calls fail.
            let likely =
                if matches!(name.as_str(), "ifMatchEtag" | "storeId" | "timestamp") { 8 } else { 45 };
            if wanted || self.random.chance(likely) {
                made.insert(name.clone(), self.value(name, described));
            }
        }
        made
    }

    fn value(&mut self, name: &str, schema: &Value) -> Value {
        if self.malformed && self.random.chance(15) {
            let own = self.own.canary(CanaryLocation::Text);
            let malformed =
                [json!(null), json!(""), json!([]), json!({}), json!(-1), json!("../x.md"), json!([own])];
            return self.random.pick(&malformed).clone();
        }
        if let Some(words) = schema["enum"].as_array() {
            return self.random.pick(words).clone();
        }
        match schema["type"].as_str() {
            Some("boolean") => json!(self.random.chance(50)),
            Some("integer") => self.integer(schema),
            // Shown as text, which would have to be JSON.
            _ if name == "attrs" => {
                json!({ self.own.canary(CanaryLocation::Attribute): self.own.canary(CanaryLocation::Attribute),
                "kind": self.sentence() })
            }
            Some("array") if name == "edits" => self.edits(),
            Some("array") => {
                let number = if self.random.chance(60) { 1 } else { 2 + self.random.below(3) };
                Value::Array((0..number).map(|_| self.value(name, &schema["items"])).collect())
            }
            Some("object") => Value::Object(self.object(schema)),
            _ => json!(self.text(name)),
        }
    }

    fn integer(&mut self, schema: &Value) -> Value {
        let least = schema["minimum"].as_u64().unwrap_or(1);
        let most = schema["maximum"].as_u64().unwrap_or(least + 5000);
        json!(least + self.random.next() % (most - least + 1))
    }

    fn edits(&mut self) -> Value {
        let text = self.sentence();
        let word = *self.random.pick(&COMMON);
        let edit = match self.random.below(5) {
            0 => {
                json!({"op": "replace", "old": word, "new": format!("{word} {}", self.own.canary(CanaryLocation::Text))})
            }
            1 => json!({"op": "insert_after", "match": word, "text": text}),
            2 => json!({"op": "prepend", "heading": "Common", "text": text}),
            3 => json!({"op": "replace_section", "heading": "Common", "text": text}),
            _ => json!({"op": "append", "heading": "Common", "text": text}),
        };
        json!([edit])
    }

    /// A text for an argument of this name.
    fn text(&mut self, name: &str) -> String {
        match name {
            "filename" | "docPath" | "files" => self.thing(Kind::File),
            "newFilename" => self.file(),
            "entity" | "from" | "to" | "nodes" | "entityNameOrId" => {
                let kind = match self.random.below(10) {
                    0..5 => Kind::EntityName,
                    5..9 => Kind::EntityId,
                    _ => Kind::Relation,
                };
                self.thing(kind)
            }
            "observationId" => self.thing(Kind::Observation),
            "backupId" => self.thing(Kind::Backup),
            "ifMatchEtag" => self.thing(Kind::Etag),
            "sessionId" => self.thing(Kind::Thinking),
            "storeId" => self.named.slug.to_owned(),
            "path" => (*self.random.pick(&[".", self.named.slug])).to_owned(),
            "name" if self.random.chance(50) => self.own.canary(CanaryLocation::Entity),
            "name" => self.thing(Kind::EntityName),
            "entityType" | "relationType" => (*self.random.pick(&["thing", "common", "person"])).to_owned(),
            "query" => self.query(),
            "timestamp" => "2026-11-22T09:30:07Z".to_owned(),
            "heading" => "Common".to_owned(),
            "umbCommand" => "UMB".to_owned(),
            "backupDir" | "branchId" => self.own.canary(CanaryLocation::Text),
            _ => self.sentence(),
        }
    }

    fn query(&mut self) -> String {
        match self.random.below(4) {
            0 => "*".to_owned(),
            1 => self.thing(Kind::EntityName),
            // The first letters of a canary, as an attacker who guesses would send.
            2 => self.named.mark.chars().take(3).collect(),
            _ => (*self.random.pick(&COMMON)).to_owned(),
        }
    }

    /// The name of a document, which may be new.
    fn file(&mut self) -> String {
        if self.random.chance(50) {
            format!("{}.md", self.own.canary(CanaryLocation::FileName))
        } else {
            format!("plain-{}.md", self.random.below(30))
        }
    }

    pub(crate) fn thing(&mut self, kind: Kind) -> String {
        let outside = !std::ptr::eq(self.own, self.named);
        let found = self.named.thing(kind, outside, self.random);
        found.unwrap_or_else(|| if kind == Kind::File { self.file() } else { "common".to_owned() })
    }

    pub(crate) fn sentence(&mut self) -> String {
        let word = *self.random.pick(&COMMON);
        format!(
            "# Common\n\n{word} {} {}\n",
            self.own.canary(CanaryLocation::Text),
            self.random.pick(&COMMON)
        )
    }
}
