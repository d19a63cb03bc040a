//! Sets up two projects in one database, their members and keys, several servers, and plants the canaries.

use std::sync::Arc;

use memory_bank_test_postgres::{MIGRATOR, TestDatabase, TestRedis};
use serde_json::{Value, json};

use super::calls::{Call, Calls};
use super::outcomes::has_succeeded;
use super::run::Campaign;
use super::tenant::{CanaryLocation, Kind, Persona, Tenant};
use crate::harness::operator::operate;
use crate::harness::random::Random;
use crate::harness::replica::Replica;
use crate::harness::wire::{Answer, Connection};

/// The projects. Their slugs hold no canary, so that each can name the other.
const PROJECTS: [&str; 2] = ["alpha", "beta"];
/// The personas with all rights: owners with keys without scopes.
const OWNERS: [&str; 2] = ["ana, all", "ben, all"];
/// User, project, role, and the scopes of each key; none = all rights of the role.
const MEMBERS: [(&str, usize, &str, &[&str]); 8] = [
    ("ana", 0, "owner", &["", "read", "write", "admin", "read,write"]),
    ("eve", 0, "editor", &["", "read", "write"]),
    ("vic", 0, "viewer", &["", "read", "write"]),
    ("ben", 1, "owner", &["", "read", "write", "admin", "write,admin"]),
    ("edo", 1, "editor", &["", "read", "write"]),
    ("vito", 1, "viewer", &["", "read"]),
    // One user is a member of both.
    ("mara", 0, "editor", &["", "read", "write"]),
    ("mara", 1, "viewer", &["", "read"]),
];

/// A campaign and its environment.
pub(crate) struct World {
    pub(crate) campaign: Campaign,
    pub(crate) environment: Environment,
}

/// The processes that faults hit.
pub(crate) struct Environment {
    pub(crate) database: TestDatabase,
    pub(crate) redis: Option<TestRedis>,
    pub(crate) redis_port: u16,
    pub(crate) replicas: Vec<Replica>,
}

impl Environment {
    pub(crate) fn operate(&self, arguments: &[&str]) -> Value {
        let redis = format!("redis://127.0.0.1:{}", self.redis_port);
        operate(&self.database.url_of(MIGRATOR), &redis, arguments)
    }
}

impl World {
    pub(crate) fn new(seed: u64, calls: usize) -> Self {
        let database = TestDatabase::migrated();
        let redis = TestRedis::start();
        let (url, redis_url) = (database.url(), redis.url());
        let replicas: Vec<Replica> = ["false", "true", "false"]
            .map(|json| {
                Replica::start(&[
                    ("DATABASE_URL", url.as_str()),
                    ("REDIS_URL", redis_url.as_str()),
                    ("MCP_HOST", "127.0.0.1"),
                    ("MCP_JSON_RESPONSE", json),
                    ("RATE_LIMIT_IP_PER_MINUTE", "0"),
                ])
            })
            .into();
        let mut random = Random::new(seed);
        let tenants = PROJECTS.map(|slug| Tenant::new(slug, &mut random));
        let addresses = replicas.iter().map(|replica| replica.address.clone()).collect();
        let environment = Environment { database, redis_port: redis.port(), redis: Some(redis), replicas };
        let mut campaign = Campaign::new(seed, calls, tenants, addresses);
        people(&campaign, &environment);
        let owners = [owner(&campaign, 0), owner(&campaign, 1)];
        campaign.list_tools(&owners[0]);
        for owner in &owners {
            plant(&campaign, owner);
        }
        Self { campaign, environment }
    }
}

/// The owner of a project, with a key that has all rights.
pub(crate) fn owner(campaign: &Campaign, tenant: usize) -> Arc<Persona> {
    let personas = campaign.personas.read();
    Arc::clone(personas.iter().find(|persona| persona.name == OWNERS[tenant]).expect("an owner"))
}

fn people(campaign: &Campaign, environment: &Environment) {
    let mut made = Vec::new();
    for (user, tenant, role, scopes) in MEMBERS {
        let project = PROJECTS[tenant];
        if role == "owner" {
            environment.operate(&["bootstrap", "--user", user, "--project", project]);
        } else {
            if !made.contains(&user) {
                environment.operate(&["users", "create", user]);
            }
            environment.operate(&["members", "add", "--project", project, "--user", user, "--role", role]);
        }
        made.push(user);
        for scopes in scopes {
            let label = campaign.tenants[tenant].canary(CanaryLocation::Label);
            let mut words = vec!["keys", "create", "--user", user, "--project", project, "--label", &label];
            words.extend(["--rate-limit", "0"]);
            if !scopes.is_empty() {
                words.extend(["--scopes", *scopes]);
            }
            let key = environment.operate(&words);
            add(campaign, user, tenant, &key, scopes);
        }
    }
}

/// Adds a persona for a new key.
pub(crate) fn add(
    campaign: &Campaign,
    user: &str,
    tenant: usize,
    made: &Value,
    scopes: &str,
) -> Arc<Persona> {
    let text = |member: &str| made[member].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    campaign.tenants[tenant].learn(Kind::KeyId, &text("id"));
    let name = format!("{user}, {}", if scopes.is_empty() { "all" } else { scopes });
    let mut persona = Persona::new(name, tenant, text("key"), text("id"), scopes);
    persona.is_owner = OWNERS[tenant] == persona.name;
    let persona = Arc::new(persona);
    campaign.personas.write().push(Arc::clone(&persona));
    persona
}

/// A call with exactly these parameters.
pub(crate) fn fixed_call(campaign: &Campaign, persona: &Persona, method: &str, params: Value) -> Call {
    let (own, others) = campaign.sides(persona);
    let mut random = Random::new(1);
    Calls { persona, own, others, tools: &[], random: &mut random }.plain(method, params)
}

/// Plants canaries in every place, under names with canaries and under names that the other project knows.
fn plant(campaign: &Campaign, owner: &Persona) {
    let own = campaign.sides(owner).0;
    let text = || own.canary(CanaryLocation::Text);
    let document = || format!("# Common\n\nharvest bridge {}\n\n- lantern {}\n", text(), text());
    let write = |name: &str| json!({"filename": name, "content": document()});
    let mut calls = vec![
        ("initialize_memory_bank", json!({"path": "."})),
        ("write_memory_bank_file", write("notes.md")),
        ("write_memory_bank_file", write(&format!("plain-{}.md", own.slug))),
        ("write_memory_bank_file", write(&format!("{}.md", own.canary(CanaryLocation::FileName)))),
        ("write_memory_bank_file", write("system-patterns.md")),
        ("track_progress", json!({"action": text(), "description": text()})),
        ("add_session_note", json!({"note": text()})),
        ("log_decision", json!({"title": text(), "context": text(), "decision": text()})),
        ("update_tasks", json!({"add": [text()]})),
        ("update_active_context", json!({"issues": [text()], "nextSteps": [text()]})),
    ];
    for name in ["Common Thing".to_owned(), format!("Plain {}", own.slug), own.canary(CanaryLocation::Entity)]
    {
        let attributes =
            json!({ own.canary(CanaryLocation::Attribute): own.canary(CanaryLocation::Attribute) });
        calls
            .push(("graph_upsert_entity", json!({"name": name, "entityType": "thing", "attrs": attributes})));
        calls.push(("graph_add_observation", json!({"entity": name, "text": text(), "source": text()})));
        calls.push((
            "graph_link_entities",
            json!({"from": name, "relationType": "near", "to": "Common Thing"}),
        ));
        calls.push((
            "graph_add_doc_pointer",
            json!({"entityNameOrId": name, "docPath": "notes.md", "note": text()}),
        ));
    }
    calls.push(("create_backup", json!({})));
    for (tool, arguments) in calls {
        let made = tool_call(campaign, owner, 0, tool, &arguments);
        assert!(has_succeeded(&made), "{tool}: {}", made.text());
    }
    for name in ["progress.md", "active-context.md", "decision-log.md"] {
        own.learn(Kind::File, name);
    }
}

/// Calls a tool with exactly these arguments.
pub(crate) fn tool_call(
    campaign: &Campaign,
    persona: &Persona,
    replica: usize,
    tool: &str,
    arguments: &Value,
) -> Answer {
    let mut call = fixed_call(campaign, persona, "tools/call", json!({"name": tool, "arguments": arguments}));
    tool.clone_into(&mut call.what);
    campaign.perform(persona, &call, replica, &mut Connection::default())
}
