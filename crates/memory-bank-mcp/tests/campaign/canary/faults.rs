//! Causes faults during the calls: Redis, PostgreSQL and servers fail, keys are revoked and rotated, roles change.

use std::sync::Arc;
use std::time::Duration;

use memory_bank_test_postgres::TestRedis;
use serde_json::json;

use super::calls::{Call, Session};
use super::environment::{Environment, add, owner, tool_call};
use super::outcomes::has_succeeded;
use super::run::Campaign;
use super::tenant::{CanaryLocation, Persona, locked};
use super::{environment, forged_redis_entries};
use crate::harness::random::Random;
use crate::harness::redis;
use crate::harness::wire::{Answer, Connection, Request};

/// One kind of fault.
type Fault = fn(&mut Faults<'_>);

pub(crate) const KINDS: [(&str, Fault); 12] = [
    ("Redis killed", |faults| faults.kill_redis()),
    ("Redis emptied", |faults| faults.empty_redis()),
    ("Redis hung", |faults| faults.hang_redis()),
    ("connections to PostgreSQL ended", |faults| faults.end_connections()),
    ("a server killed", |faults| faults.kill_server()),
    ("a key revoked", |faults| faults.revoke()),
    ("a key rotated", |faults| faults.rotate()),
    ("a key narrowed", |faults| faults.narrow()),
    ("an owner made viewer", |faults| faults.demote()),
    ("a key's entry copied in Redis", forged_redis_entries::copy_key),
    ("a key's entry widened in Redis", forged_redis_entries::widen_key),
    ("sessions' entries forged in Redis", forged_redis_entries::forge_sessions),
];

/// The number of revoked keys that remain in use.
const VOID: usize = 10;

pub(crate) struct Faults<'a> {
    pub(crate) campaign: &'a Campaign,
    pub(crate) environment: &'a mut Environment,
    pub(crate) random: Random,
}

impl Faults<'_> {
    /// Causes each kind of fault in turn, in random order, until all calls are made.
    pub(crate) fn run(&mut self) {
        // Often enough for each kind to happen about twice in a short run.
        let between = (self.campaign.calls / (KINDS.len() * 2 + 1)).min(400);
        let mut next = between;
        loop {
            let mut kinds = KINDS;
            self.random.shuffle(&mut kinds);
            for (name, fault) in kinds {
                while self.campaign.begun() < next {
                    if self.campaign.is_over() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                next = self.campaign.begun() + between;
                fault(self);
                *locked(&self.campaign.tally).faults.entry(name).or_default() += 1;
            }
        }
    }

    fn kill_redis(&mut self) {
        self.environment.redis = None;
        self.pause(200);
        self.environment.redis = Some(TestRedis::start_on(self.environment.redis_port));
    }

    fn empty_redis(&mut self) {
        redis::command(self.environment.redis_port, &["FLUSHALL"]).unwrap();
    }

    fn hang_redis(&mut self) {
        let process = self.environment.redis.as_ref().unwrap().process().to_string();
        let signal = |name: &str| {
            let sent = std::process::Command::new("kill").args([name, &process]).status().unwrap();
            assert!(sent.success());
        };
        signal("-STOP");
        self.pause(300);
        signal("-CONT");
    }

    fn end_connections(&mut self) {
        self.environment.database.psql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
    }

    fn kill_server(&mut self) {
        let replica = self.random.below(self.environment.replicas.len());
        self.environment.replicas[replica].kill();
        self.pause(100);
        self.environment.replicas[replica].start_again();
    }

    /// Creates a key of an owner by REST; `None` if that fails, as it may soon after another fault.
    pub(crate) fn create_key(&mut self, tenant: usize, scopes: &str) -> Option<Arc<Persona>> {
        let owner = owner(self.campaign, tenant);
        let label = self.campaign.tenants[tenant].canary(CanaryLocation::Label);
        let list: Vec<&str> = scopes.split(',').filter(|scope| !scope.is_empty()).collect();
        let body = json!({"label": label, "scopes": list, "rateLimit": 0}).to_string();
        let answer = self.rest(&owner, "POST", "/api/keys", body);
        let made = answer.message().filter(|_| answer.status == 201)?;
        Some(add(self.campaign, "spare", tenant, &made, scopes))
    }

    /// A request to the REST routes of a random server.
    pub(crate) fn rest(&mut self, by: &Persona, method: &'static str, path: &str, body: String) -> Answer {
        let replica = self.random.below(self.environment.replicas.len());
        rest(self.campaign, by, replica, method, path, body)
    }

    /// A new key that every server has already seen, and its owner.
    fn key_in_use(&mut self) -> Option<(Arc<Persona>, Arc<Persona>)> {
        let tenant = self.random.below(2);
        let scopes = *self.random.pick(&["", "read", "write", "read,write"]);
        let made = self.create_key(tenant, scopes)?;
        self.use_everywhere(&made);
        Some((made, owner(self.campaign, tenant)))
    }

    pub(crate) fn use_everywhere(&self, persona: &Persona) {
        for replica in 0..self.environment.replicas.len() {
            tool_call(
                self.campaign,
                persona,
                replica,
                "read_memory_bank_file",
                &json!({"filename": "notes.md"}),
            );
        }
    }

    fn revoke(&mut self) {
        let Some((key_in_use, owner)) = self.key_in_use() else { return };
        let path = format!("/api/keys/{}", key_in_use.key_id);
        if self.rest(&owner, "DELETE", &path, String::new()).status == 200 {
            self.mark_void(&key_in_use);
        }
    }

    fn rotate(&mut self) {
        let Some((key_in_use, owner)) = self.key_in_use() else { return };
        let answer =
            self.rest(&owner, "POST", &format!("/api/keys/{}/rotate", key_in_use.key_id), "{}".to_owned());
        if answer.status == 201 {
            self.mark_void(&key_in_use);
        }
    }

    /// Marks a key as revoked. Workers keep using it.
    fn mark_void(&self, key_in_use: &Persona) {
        let reads = key_in_use.access().reads;
        key_in_use.change(reads, true);
        self.use_everywhere(key_in_use);
        let mut personas = self.campaign.personas.write();
        let void: Vec<usize> = (0..personas.len()).filter(|at| personas[*at].access().void).collect();
        if void.len() > VOID {
            personas.remove(void[0]);
        }
    }

    /// Removes the scope `read` from a key.
    fn narrow(&mut self) {
        let tenant = self.random.below(2);
        let Some(made) = self.create_key(tenant, "") else { return };
        self.use_everywhere(&made);
        let owner = owner(self.campaign, made.tenant);
        let body = json!({"scopes": ["write"]}).to_string();
        if self.rest(&owner, "PATCH", &format!("/api/keys/{}", made.key_id), body).status == 200 {
            made.change(false, false);
            self.use_everywhere(&made);
        }
    }

    /// Makes a member owner for a while, then viewer: no server may still grant the former rights.
    fn demote(&mut self) {
        let (user, project, name) =
            *self.random.pick(&[("eve", "alpha", "eve, all"), ("edo", "beta", "edo, all")]);
        let made = |role: &str| {
            self.environment.operate(&[
                "members",
                "add",
                "--project",
                project,
                "--user",
                user,
                "--role",
                role,
            ]);
        };
        made("owner");
        let persona = {
            let personas = self.campaign.personas.read();
            Arc::clone(personas.iter().find(|persona| persona.name == name).unwrap())
        };
        self.use_everywhere(&persona);
        for replica in 0..self.environment.replicas.len() {
            rest(self.campaign, &persona, replica, "GET", "/api/keys", String::new());
        }
        made("viewer");
        for replica in 0..self.environment.replicas.len() {
            let write = json!({"filename": "viewer.md", "content": "x"});
            let wrote = tool_call(self.campaign, &persona, replica, "write_memory_bank_file", &write);
            let keys = rest(self.campaign, &persona, replica, "POST", "/api/keys", "{}".to_owned());
            if has_succeeded(&wrote) || has_succeeded(&keys) {
                let report = format!("server {replica}: {} {} {}", wrote.text(), keys.status, keys.text());
                self.campaign.report("an owner who was made viewer may still write", report);
            }
        }
        made("editor");
    }

    fn pause(&self, milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(milliseconds));
    }
}

/// A request to the REST routes of one server.
pub(crate) fn rest(
    campaign: &Campaign,
    by: &Persona,
    replica: usize,
    method: &'static str,
    path: &str,
    body: String,
) -> Answer {
    let mut request = Request { method, path: path.to_owned(), body, ..Request::default() };
    request.headers.push(("Content-Type", "application/json".to_owned()));
    let call =
        Call { what: format!("{method} /api/keys, by the faults"), request, session: Session::Untouched };
    campaign.perform(by, &call, replica, &mut Connection::default())
}

/// Tries the ways to read on one server.
pub(crate) fn read_all(campaign: &Campaign, persona: &Persona, replica: usize) {
    for (tool, arguments) in [
        ("read_memory_bank_file", json!({"filename": "notes.md"})),
        ("get_context_bundle", json!({})),
        ("search_memory_bank", json!({"query": "harvest"})),
        ("graph_search", json!({"query": "*"})),
    ] {
        tool_call(campaign, persona, replica, tool, &arguments);
    }
    for (method, params) in [
        ("resources/list", json!({})),
        ("resources/read", json!({"uri": "memory-bank://notes"})),
        ("prompts/get", json!({"name": "update_memory_bank"})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/resource", "uri": "memory-bank://{name}"},
            "argument": {"name": "name", "value": ""}}),
        ),
    ] {
        let call = environment::fixed_call(campaign, persona, method, params);
        campaign.perform(persona, &call, replica, &mut Connection::default());
    }
    rest(campaign, persona, replica, "GET", "/api/keys", String::new());
}
