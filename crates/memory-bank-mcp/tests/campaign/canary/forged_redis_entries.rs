//! Forges entries in Redis, as an attacker who can write there would: keys and sessions copied, widened or made up.

use serde_json::{Value, json};

use super::environment::{owner, tool_call};
use super::faults::{Faults, read_all, rest};
use super::outcomes::has_succeeded;
use super::tenant::Kind;
use crate::harness::redis;

/// How long an entry lives, in seconds.
const LIVES: &str = "300";

/// The hash under which a key is cached.
fn hash(key: &str) -> String {
    memory_bank_core::identity::KeyHash::of(key.as_bytes()).to_hex()
}

fn entry(key: &str) -> String {
    format!("mbmcp:apikey:{}", hash(key))
}

/// Puts the entry of the other project's owner under the hash of a new key, unchanged and with the new key's id.
pub(crate) fn copy_key(faults: &mut Faults<'_>) {
    let port = faults.environment.redis_port;
    let tenant = faults.random.below(2);
    let victim = owner(faults.campaign, 1 - tenant);
    for own_id in [false, true] {
        let Some(bait) = faults.create_key(tenant, "") else { return };
        faults.campaign.personas.write().retain(|persona| persona.key_id != bait.key_id);
        let Some(mut copied) = cached(faults, &victim.key) else { return };
        if own_id {
            copied["identity"]["key"] = json!(bait.key_id);
        }
        for replica in 0..faults.environment.replicas.len() {
            let put = ["SET", &entry(&bait.key), &copied.to_string(), "EX", LIVES];
            if redis::command(port, &put).is_ok() {
                read_all(faults.campaign, &bait, replica);
                tool_call(faults.campaign, &bait, replica, "create_backup", &json!({"listOnly": true}));
            }
        }
        let gone = format!("/api/keys/{}", bait.key_id);
        let owner = owner(faults.campaign, tenant);
        faults.rest(&owner, "DELETE", &gone, String::new());
        let _emptied = redis::command(port, &["DEL", &entry(&bait.key)]);
    }
}

/// Gives a key more rights in its own entry.
pub(crate) fn widen_key(faults: &mut Faults<'_>) {
    let port = faults.environment.redis_port;
    let tenant = faults.random.below(2);
    let scopes = *faults.random.pick(&["write", "admin", "read"]);
    let Some(bait) = faults.create_key(tenant, scopes) else { return };
    let warm = faults.random.below(faults.environment.replicas.len());
    // One server creates the entry; the others read it from Redis.
    rest(faults.campaign, &bait, warm, "GET", "/api/keys", String::new());
    let Some(mut widened) = cached(faults, &bait.key) else { return };
    widened["identity"]["scopes"] = json!([]);
    widened["identity"]["role"] = json!("owner");
    for replica in (0..faults.environment.replicas.len()).filter(|replica| *replica != warm) {
        let put = ["SET", &entry(&bait.key), &widened.to_string(), "EX", LIVES];
        if redis::command(port, &put).is_err() {
            continue;
        }
        read_all(faults.campaign, &bait, replica);
        let write = json!({"filename": "widened.md", "content": "x"});
        let wrote = tool_call(faults.campaign, &bait, replica, "write_memory_bank_file", &write);
        let keys = rest(faults.campaign, &bait, replica, "POST", "/api/keys", "{}".to_owned());
        if (has_succeeded(&wrote) && scopes != "write") || (has_succeeded(&keys) && scopes != "admin") {
            let report = format!("scopes {scopes}, server {replica}: {} {}", wrote.text(), keys.text());
            faults.campaign.report("a key that was widened in Redis did what it may not", report);
        }
    }
    let _emptied = redis::command(port, &["DEL", &entry(&bait.key)]);
}

/// Swaps entries of sessions between the projects, and breaks entries of keys.
pub(crate) fn forge_sessions(faults: &mut Faults<'_>) {
    let port = faults.environment.redis_port;
    let sides = &faults.campaign.tenants;
    for (own, others) in [(&sides[0], &sides[1]), (&sides[1], &sides[0])] {
        let mut take = |tenant: &super::tenant::Tenant| {
            let id = tenant.thing(Kind::Session, false, &mut faults.random)?;
            let text = redis::command(port, &["GET", &format!("mbmcp:session:{id}")]).ok()?.pop()?;
            Some((id, serde_json::from_str::<Value>(&text).ok()?))
        };
        let (Some((id, record)), Some((other_id, other))) = (take(own), take(others)) else { continue };
        // The other's record under the own id, and with the own user and project in it.
        let mut renamed = other.clone();
        renamed["id"] = json!(id);
        let mut claimed = other;
        for member in ["user", "project", "userId", "projectId"] {
            if let Some(mine) = record.get(member) {
                claimed[member] = mine.clone();
            }
        }
        for (id, text) in [(&id, renamed.to_string()), (&other_id, claimed.to_string())] {
            let _put = redis::command(port, &["SET", &format!("mbmcp:session:{id}"), &text, "EX", LIVES]);
        }
    }
    let garbage = faults.random.letters(9);
    for name in redis::command(port, &["KEYS", "mbmcp:apikey:*"]).unwrap_or_default().into_iter().take(5) {
        let _put = redis::command(port, &["SET", &name, &garbage, "EX", "5"]);
    }
}

/// The entry of a key that was used.
fn cached(faults: &mut Faults<'_>, key: &str) -> Option<Value> {
    let port = faults.environment.redis_port;
    let text = redis::command(port, &["GET", &entry(key)]).ok()?.pop()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    value["identity"].is_object().then_some(value)
}
