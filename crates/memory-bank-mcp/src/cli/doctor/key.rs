//! Explains why an API key is rejected. The key is never printed, and never an argument: the list of processes shows
//! those.

use std::io::Read;

use anyhow::Context;
use memory_bank_core::caller::Role;
use memory_bank_core::clock::{Clock, SystemClock, iso_millis};
use memory_bank_core::identity::{KeyDirectory, PlainKey};

use crate::cli::doctor::findings::Findings;

/// Longer than any key, in bytes.
const MOST: u64 = 4096;

/// Reads the key from a file, or with `-` from standard input.
pub(crate) fn read(from: &str) -> anyhow::Result<String> {
    let mut key = String::new();
    if from == "-" {
        std::io::stdin().lock().take(MOST).read_to_string(&mut key).context("no key on standard input")?;
    } else {
        let file = std::fs::File::open(from).with_context(|| format!("`{from}` cannot be read"))?;
        file.take(MOST).read_to_string(&mut key).with_context(|| format!("`{from}` cannot be read"))?;
    }
    Ok(key.trim().to_owned())
}

/// Reports whether a key is valid, or why not.
pub(crate) async fn judge(directory: &dyn KeyDirectory, key: &str, findings: &mut Findings) {
    let check = "key";
    let Ok(parsed) = key.parse::<PlainKey>() else {
        return findings.error(
            check,
            "this is not a key: a key begins with `mbmcp_live_` or `mbmcp_test_`, followed by letters and digits",
            "copy the whole key again, without quotation marks",
        );
    };
    let identity = match directory.find(&parsed.hash()).await {
        Ok(identity) => identity,
        Err(error) => {
            return findings.error(
                check,
                format!("it could not be looked up: {error}"),
                "repair the database first",
            );
        }
    };
    let Some(identity) = identity else {
        return findings.error(
            check,
            "it is unknown, or its user is no longer a member of its project",
            "check whether it belongs to another database, and `members list`; `keys create` creates a new one",
        );
    };
    if let Some(at) = identity.revoked_at {
        return findings.error(
            check,
            format!("it was revoked at {}", iso_millis(at)),
            "create a new one with `keys create`",
        );
    }
    match identity.expires_at {
        Some(at) if at <= SystemClock.now() => {
            findings.error(
                check,
                format!("it expired at {}", iso_millis(at)),
                "create a new one with `keys rotate`",
            );
        }
        until => {
            let caller = &identity.caller;
            let until = until
                .map_or_else(|| "does not expire".to_owned(), |at| format!("expires at {}", iso_millis(at)));
            let limit = match identity.rate_limit {
                0 => "any number of requests".to_owned(),
                limit => format!("{limit} requests per minute"),
            };
            findings.ok(
                check,
                format!("it is valid: {} `{}`, {limit}, {until}", role(caller.role), caller.user_name),
            );
        }
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Editor => "editor",
        Role::Viewer => "viewer",
    }
}
