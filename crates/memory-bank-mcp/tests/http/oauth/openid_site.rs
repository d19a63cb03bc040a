//! A server at which users of an OpenID provider sign in, and their browsers.

use std::collections::BTreeMap;

use memory_bank_test_postgres::TestDatabase;
use serde_json::Value;

use super::browser::{CALLBACK, authorize, encode, hidden, register};
use super::fake_provider::{CLIENT_ID, CLIENT_SECRET, Provider};
use crate::client::{Reply, Server};
use crate::database::operate;

pub(super) const MAPPING: &str =
    "group:dev=atlas:editor,group:boss=atlas:owner,domain:example.com=docs:viewer";
pub(super) const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// A provider and a server of alice's projects `atlas` and `docs`, at which its users sign in.
pub(super) struct OpenIdSite {
    pub(super) database: TestDatabase,
    pub(super) provider: Provider,
    pub(super) server: Server,
}

impl OpenIdSite {
    pub(super) fn new() -> Self {
        Self::with(&[])
    }

    pub(super) fn with(more: &[(&str, &str)]) -> Self {
        let database = TestDatabase::migrated();
        operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
        operate(&database, &["projects", "create", "docs", "--owner", "alice"]).unwrap();
        let provider = Provider::start();
        operate(&database, &["identities", "trust", &provider.address]).unwrap();
        let server = serve(&database, &provider, more);
        Self { database, provider, server }
    }

    pub(super) fn browser(&self) -> Browser<'_> {
        Browser { server: &self.server, provider: &self.provider, cookies: BTreeMap::new() }
    }

    pub(super) fn users(&self) -> String {
        self.database.psql("SELECT count(*) FROM users")
    }

    /// The projects and roles that a user is offered after a sign-in with these claims.
    pub(super) fn offered(&self, subject: &str, claims: &Value) -> Vec<String> {
        let page = self.browser().sign_in(&self.address(), subject, claims);
        assert_eq!(page.status, 200, "{}", page.body);
        projects(&page)
    }

    pub(super) fn address(&self) -> String {
        authorize(&register(&self.server, &[CALLBACK]), "read write admin")
    }
}

pub(super) fn serve(database: &TestDatabase, provider: &Provider, more: &[(&str, &str)]) -> Server {
    let url = database.url();
    let mut variables = vec![
        ("DATABASE_URL", url.as_str()),
        ("REDIS_URL", ""),
        ("MCP_HOST", "127.0.0.1"),
        ("RATE_LIMIT_IP_PER_MINUTE", "0"),
        ("OIDC_ISSUER", &provider.address),
        ("OIDC_CLIENT_ID", CLIENT_ID),
        ("OIDC_CLIENT_SECRET", CLIENT_SECRET),
        ("OIDC_NAME", "Example & Co"),
        ("OIDC_MAPPING", MAPPING),
    ];
    for &(name, value) in more {
        variables.retain(|(known, _)| *known != name);
        variables.push((name, value));
    }
    Server::start(&variables)
}

/// `slug (you are … role)` of a page of consent.
pub(super) fn projects(page: &Reply) -> Vec<String> {
    let (select, _) = page.body.split_once("</select>").unwrap();
    select
        .split("<option value=\"")
        .skip(1)
        .map(|rest| rest.split(['>', '<']).nth(1).unwrap().to_owned())
        .collect()
}

/// A browser that keeps all cookies.
pub(super) struct Browser<'a> {
    pub(super) server: &'a Server,
    pub(super) provider: &'a Provider,
    pub(super) cookies: BTreeMap<String, String>,
}

/// What the provider is asked for.
pub(super) struct Begun {
    pub(super) reply: Reply,
    pub(super) query: BTreeMap<String, String>,
}

impl Browser<'_> {
    pub(super) fn request(&mut self, method: &str, path: &str, body: &str) -> Reply {
        let line: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let line = line.join("; ");
        let mut headers = vec![FORM];
        if !line.is_empty() {
            headers.push(("Cookie", line.as_str()));
        }
        let reply = self.server.send_bare(method, path, &headers, body);
        for (_, set) in reply.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        reply
    }

    pub(super) fn get(&mut self, path: &str) -> Reply {
        self.request("GET", path, "")
    }

    /// Opens an address and chooses the provider.
    pub(super) fn begin(&mut self, address: &str) -> Begun {
        let page = self.get(address);
        assert!(page.body.contains("Sign in with Example &amp; Co"), "{}", page.body);
        let token = hidden(&page, "token");
        let request = page.body.contains("name=\"request\"").then(|| hidden(&page, "request"));
        let mut parameters = vec![("token", token.as_str())];
        parameters.extend(request.as_deref().map(|request| ("request", request)));
        let reply = self.request("POST", "/oauth/openid", &encode(&parameters));
        let query = reply.header("location").and_then(|to| to.split_once('?'));
        let query = url::form_urlencoded::parse(query.map_or("", |(_, query)| query).as_bytes());
        let query = query.into_owned().collect();
        Begun { reply, query }
    }

    pub(super) fn come_back(&mut self, parameters: &[(&str, &str)]) -> Reply {
        self.get(&format!("/oauth/openid/callback?{}", encode(parameters)))
    }

    /// Signs in as a subject with these claims beside the usual; gives the page that follows, or the one that refuses.
    pub(super) fn sign_in(&mut self, address: &str, subject: &str, claims: &Value) -> Reply {
        self.cookies.clear();
        let begun = self.begin(address);
        let mut all = self.provider.claims(subject, &begun.query["nonce"]);
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        self.provider.give(&self.provider.id_token(&all));
        let reply = self.come_back(&[("code", "c"), ("state", &begun.query["state"])]);
        if reply.status != 303 {
            return reply;
        }
        let next = reply.header("location").unwrap().to_owned();
        self.get(&next)
    }

    /// Allows what a page of consent offers in its first project.
    pub(super) fn allow(&mut self, page: &Reply, scope: &str) -> Reply {
        let (request, token) = (hidden(page, "request"), hidden(page, "token"));
        let project =
            page.body.split("<option value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let mut parameters = vec![
            ("request", request.as_str()),
            ("token", &token),
            ("project", project),
            ("decision", "allow"),
        ];
        parameters.extend(scope.split(' ').map(|right| (right, "yes")));
        self.request("POST", "/oauth/authorize", &encode(&parameters))
    }
}
