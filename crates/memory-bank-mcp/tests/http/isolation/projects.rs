//! The three projects, their members, and the data that the tests plant.

use std::collections::BTreeMap;

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};

use super::members::{Person, SECRET};
use super::tool_calls::cases;
use crate::client::Server;
use crate::database::{key_of, operate};

/// A database with three projects and everyone's keys, and a server on it.
pub(super) struct World {
    pub(super) server: Server,
    pub(super) keys: BTreeMap<&'static str, Value>,
    pub(super) database: TestDatabase,
}

impl World {
    pub(super) fn key(&self, name: &str) -> String {
        key_of(&self.keys[name])
    }

    pub(super) fn id(&self, name: &str) -> String {
        self.keys[name]["id"].as_str().unwrap().to_owned()
    }
}

/// `alpha` has the secret; `beta` has everything else; `gamma` is empty. `mara` is an editor there and a viewer here.
pub(super) fn world() -> World {
    let database = TestDatabase::migrated();
    let run = |arguments: &[&str]| operate(&database, arguments).unwrap();
    for (user, project) in [("anna", "alpha"), ("boris", "beta"), ("otto", "gamma")] {
        run(&["bootstrap", "--user", user, "--project", project]);
    }
    for (user, project, role) in [
        ("eddi", "alpha", "editor"),
        ("vera", "alpha", "viewer"),
        ("mara", "alpha", "editor"),
        ("mara", "beta", "viewer"),
        ("bea", "beta", "editor"),
    ] {
        // A user may be made already.
        let _made = operate(&database, &["users", "create", user]);
        run(&["members", "add", "--project", project, "--user", user, "--role", role]);
    }
    let mut keys = BTreeMap::new();
    for (name, user, project, scopes) in [
        ("anna", "anna", "alpha", "read,write,admin"),
        ("eddi", "eddi", "alpha", "read,write,admin"),
        ("vera", "vera", "alpha", "read,write,admin"),
        ("mara in alpha", "mara", "alpha", "read,write,admin"),
        ("boris", "boris", "beta", "read,write,admin"),
        ("bea", "bea", "beta", "read,write,admin"),
        ("mara in beta", "mara", "beta", "read,write,admin"),
        ("boris, reading", "boris", "beta", "read"),
        ("otto", "otto", "gamma", "read,write,admin"),
    ] {
        let label = if project == "alpha" { SECRET } else { "common" };
        let wanted = [
            "keys",
            "create",
            "--user",
            user,
            "--project",
            project,
            "--scopes",
            scopes,
            "--label",
            label,
            "--rate-limit",
            "0",
        ];
        keys.insert(name, run(&wanted));
    }
    let server = crate::database::serve(&database, &key_of(&keys["anna"]));
    World { server, keys, database }
}

/// Everyone who is not in `alpha`, or not there with this key.
pub(super) fn outsiders<'a>(world: &'a World) -> Vec<Person<'a>> {
    ["boris", "bea", "mara in beta", "boris, reading", "otto"]
        .into_iter()
        .map(|name| Person::new(&world.server, name, world.key(name), true, "common"))
        .collect()
}

/// Ids of items of `alpha`.
#[derive(Default, Clone)]
pub(super) struct Ids {
    pub(super) entity: String,
    pub(super) observation: String,
    pub(super) relation: String,
    pub(super) backup: String,
    pub(super) slug: String,
}

/// Fills `alpha`: every tool, with the secret wherever a text may go.
pub(super) fn plant(anna: &Person<'_>) -> Ids {
    let mut ids = Ids { slug: "alpha".to_owned(), ..Ids::default() };
    // Data is written first, then every tool is called in order.
    let first = ["initialize_memory_bank", "write_memory_bank_file"].map(str::to_owned);
    for tool in first.into_iter().chain(anna.tools()) {
        for arguments in cases(&tool, SECRET, &ids, true) {
            if tool == "select_store" && arguments.get("action").is_some() || tool == "set_memory_bank_path" {
                continue;
            }
            let made = anna.data(&tool, &arguments);
            let text = |pointer: &str| made.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            match tool.as_str() {
                "graph_upsert_entity" if arguments["name"] == json!(SECRET) => {
                    ids.entity = text("/entity/id").unwrap();
                }
                "graph_add_observation" if arguments["entity"] == json!(SECRET) => {
                    ids.observation = text("/observation/id").unwrap();
                }
                "graph_link_entities" if arguments.get("action").is_none() => {
                    ids.relation = text("/relation/id").unwrap();
                }
                "create_backup" if arguments.get("listOnly").is_none() => {
                    ids.backup = text("/backupId").unwrap();
                }
                _ => {}
            }
        }
    }
    ids
}
