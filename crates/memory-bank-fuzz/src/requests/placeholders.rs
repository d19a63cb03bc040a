//! What opens something, in place of words of an input: `@SESSION@` is a session of MCP, `@CODE@` an authorization code.
//!
//! Each is made when an input needs it, over HTTP. It is made anew when an input may have used it up or ended it, and from time to
//! time, so that every input meets the same state.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::fixture::{HOST, SUBJECT, Site, Tenant};
use super::sign_in::{self, VERIFIER, escaped};
use super::wire::{Reply, Request, Value};

/// Credentials and ids that one sign-in or call creates together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// The key of the project, and the ids that it may learn.
    Key,
    /// A session of MCP that has subscribed to a document, and the event with the reply to a call.
    Session,
    /// The newest event of that session's stream of notifications.
    Stream,
    /// The same of the other project.
    Foreign,
    /// A registered client of OAuth, its verifier, and its request as a parameter.
    Client,
    /// An authorization code of the client.
    Code,
    /// Its access token and its refresh token.
    Tokens,
    /// A browser in front of the form of consent: its cookie, and the token of the form.
    Browser,
    /// A session of the web console: its cookie, and the token of its page.
    Console,
    /// A token of the outside authorization server.
    Outside,
}

/// The placeholders: the text, its group, and the place of its value in the group.
const PLACEHOLDERS: [(&str, Group, usize); 18] = [
    ("@KEY@", Group::Key, 0),
    ("@PROJECT@", Group::Key, 1),
    ("@SESSION@", Group::Session, 0),
    ("@EVENT@", Group::Session, 1),
    ("@STREAM@", Group::Stream, 0),
    ("@FOREIGN@", Group::Foreign, 0),
    ("@FOREIGN_EVENT@", Group::Foreign, 1),
    ("@CLIENT@", Group::Client, 0),
    ("@VERIFIER@", Group::Client, 1),
    ("@REQUEST@", Group::Client, 2),
    ("@CODE@", Group::Code, 0),
    ("@TOKEN@", Group::Tokens, 0),
    ("@REFRESH@", Group::Tokens, 1),
    ("@BROWSER@", Group::Browser, 0),
    ("@FORM@", Group::Browser, 1),
    ("@COOKIE@", Group::Console, 0),
    ("@CONSOLE@", Group::Console, 1),
    ("@OUTSIDE@", Group::Outside, 0),
];

/// Those that alone open the project's texts; the console needs both of its halves.
const READING: [&str; 4] = ["@KEY@", "@TOKEN@", "@CONSOLE@", "@OUTSIDE@"];

/// The most inputs that use the same. A token has a limit of requests per minute, a session keeps the replies of its calls.
const USES: u32 = 40;
/// The longest time in which they use it: a code is valid for a minute.
const LIFE: Duration = Duration::from_secs(40);

/// The current values of a group.
struct Made {
    values: Vec<String>,
    uses: u32,
    at: Instant,
}

/// The current values of all groups.
#[derive(Default)]
pub(super) struct Placeholders(BTreeMap<Group, Made>);

/// The placeholders that an input contains.
pub(super) fn of_input(data: &[u8]) -> Vec<&'static str> {
    let contains = |name: &str| data.windows(name.len()).any(|part| part == name.as_bytes());
    PLACEHOLDERS.iter().map(|(name, ..)| *name).filter(|name| contains(name)).collect()
}

/// Whether one of them opens the project's texts.
pub(super) fn can_read(present: &[&str]) -> bool {
    READING.iter().any(|name| present.contains(name))
}

fn group_of(name: &str) -> Option<(Group, usize)> {
    PLACEHOLDERS.iter().find(|(known, ..)| *known == name).map(|(_, group, at)| (*group, *at))
}

impl Placeholders {
    /// Their values for an input.
    pub(super) fn values(&mut self, site: &Site, present: &[&'static str]) -> Vec<Value> {
        let now = Instant::now();
        self.0.retain(|group, made| {
            *group == Group::Key || made.uses < USES && now.duration_since(made.at) < LIFE
        });
        // What belongs to a session or a client is gone with it.
        for (owner, owned) in [
            (Group::Session, &[Group::Stream][..]),
            (Group::Client, &[Group::Code, Group::Tokens, Group::Browser]),
        ] {
            if !self.0.contains_key(&owner) {
                self.0.retain(|group, _| !owned.contains(group));
            }
        }
        let mut values = Vec::with_capacity(present.len());
        for name in present {
            let Some((group, at)) = group_of(name) else { continue };
            values.push((*name, self.made(site, group).get(at).cloned().unwrap_or_default()));
        }
        for made in present.iter().filter_map(|name| group_of(name)) {
            if let Some(made) = self.0.get_mut(&made.0) {
                made.uses += 1;
            }
        }
        values
    }

    fn made(&mut self, site: &Site, group: Group) -> Vec<String> {
        if let Some(made) = self.0.get(&group) {
            return made.values.clone();
        }
        let first = |values: Vec<String>| values.into_iter().next().unwrap_or_default();
        let values = match group {
            Group::Key => vec![site.own.key.clone(), site.own.project.clone()],
            Group::Session => session(site, &site.own),
            Group::Foreign => session(site, &site.foreign),
            Group::Stream => vec![stream(site, &first(self.made(site, Group::Session)))],
            Group::Client => {
                let client = sign_in::register(site);
                let request = escaped(&sign_in::query(&client));
                vec![client, VERIFIER.to_owned(), request]
            }
            Group::Code => vec![sign_in::code(site, &first(self.made(site, Group::Client)))],
            Group::Tokens => sign_in::tokens(site, &first(self.made(site, Group::Client))).to_vec(),
            Group::Browser => {
                let browser = sign_in::sign_in(site, &first(self.made(site, Group::Client)));
                vec![browser.cookie, browser.form]
            }
            Group::Console => sign_in::console(site).to_vec(),
            Group::Outside => vec![site.issuer.token(SUBJECT, &format!("https://{HOST}/mcp"))],
        };
        self.0.insert(group, Made { values: values.clone(), uses: 0, at: Instant::now() });
        values
    }

    /// Forgets what an input may have used up or ended.
    pub(super) fn after(&mut self, present: &[&str], request: &Request, reply: &Reply) {
        let (method, target) = request.line();
        let is_refused =
            reply.status().is_some_and(|status| status >= 400) && !reply.0.contains("used before");
        if is_refused || matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS") {
            return;
        }
        let calls = method == "POST" && target.starts_with("/mcp");
        for (group, _) in present.iter().filter_map(|name| group_of(name)) {
            let stays = match group {
                Group::Key | Group::Client | Group::Foreign => true,
                Group::Session | Group::Stream => calls && !request.body_has("subscribe"),
                _ => calls,
            };
            if !stays {
                self.0.remove(&group);
            }
        }
    }
}

/// A session of a project's key, and the event with the reply to a call that has read a document in it.
fn session(site: &Site, tenant: &Tenant) -> Vec<String> {
    let opened = mcp(
        site,
        tenant,
        "",
        r#""initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "fuzz", "version": "1"}}"#,
    );
    let session = opened.header("mcp-session-id").unwrap_or_else(|| panic!("no session: {}", opened.0));
    let uri = r#""resources/subscribe", "params": {"uri": "memory-bank://progress"}"#;
    let subscribed = mcp(site, tenant, session, uri);
    assert!(subscribed.0.contains("\"result\":{}"), "{}", subscribed.0);
    let call = r#""tools/call", "params": {"name": "read_memory_bank_file", "arguments": {"filename": "progress.md"}}"#;
    // An input may have replaced the document.
    site.plant(tenant);
    let read = mcp(site, tenant, session, call);
    assert!(read.0.contains(&tenant.canary), "{}", read.0);
    vec![session.to_owned(), event(&read)]
}

/// A message of a client in a session, from its method on.
fn mcp(site: &Site, tenant: &Tenant, session: &str, message: &str) -> Reply {
    let session = if session.is_empty() { String::new() } else { format!("Mcp-Session-Id: {session}\n") };
    site.send(&format!(
        "POST /mcp HTTP/1.1\nHost: {HOST}\nAuthorization: Bearer {}\n{session}Content-Type: application/json\n\
         Accept: application/json, text/event-stream\n\n{{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": {message}}}",
        tenant.key
    ))
}

/// The event that a session's stream of notifications begins with.
fn stream(site: &Site, session: &str) -> String {
    let reply = site.send(&format!(
        "GET /mcp HTTP/1.1\nHost: {HOST}\nAuthorization: Bearer {}\nAccept: text/event-stream\nMcp-Session-Id: {session}",
        site.own.key
    ));
    event(&reply)
}

/// The first event of a reply.
fn event(reply: &Reply) -> String {
    let id = reply.between("\nid: ", "\n").or_else(|| reply.between("\nid:", "\n"));
    id.unwrap_or_else(|| panic!("no event: {}", reply.0)).trim().to_owned()
}
