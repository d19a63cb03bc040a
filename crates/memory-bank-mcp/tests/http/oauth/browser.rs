//! A browser with one cookie, and a client that signs in through it.

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};

use crate::client::{JSON, MCP_ACCEPT, Reply, Server, call, handshake};
use crate::database::{key_of, operate, serve};

/// The verifier and the challenge of the example in RFC 7636.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(crate) const CALLBACK: &str = "https://client.example/callback";

pub(super) const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// A server on a database with alice, who owns `atlas`.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) database: TestDatabase,
}

impl Site {
    pub(crate) fn new() -> Self {
        let database = TestDatabase::migrated();
        let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
        let server = serve(&database, &key_of(&made["key"]));
        Self { server, database }
    }

    /// The client's whole way, with a login code: registers, signs in, is allowed these rights, and has its tokens.
    pub(crate) fn connect(&self, scope: &str) -> Tokens {
        connect(&self.server, &self.database, "alice", scope)
    }

    /// The id of a project.
    pub(crate) fn project(&self, slug: &str) -> String {
        self.database.psql(&format!("SELECT id FROM projects WHERE slug = '{slug}'"))
    }
}

/// A login code of a user.
pub(crate) fn login_code(database: &TestDatabase, user: &str) -> String {
    let made = operate(database, &["login-code", "--user", user]).unwrap();
    made["code"].as_str().unwrap().to_owned()
}

/// What a client has at the end.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(crate) client: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) reply: Value,
}

/// See [`Site::connect`].
pub(crate) fn connect(server: &Server, database: &TestDatabase, user: &str, scope: &str) -> Tokens {
    connect_with(server, &login_code(database, user), scope)
}

/// Signs in with this key or login code.
pub(crate) fn connect_with(server: &Server, secret: &str, scope: &str) -> Tokens {
    let client = register(server, &[CALLBACK]);
    let mut browser = Browser::new(server);
    let page = browser.sign_in(&authorize(&client, scope), secret);
    let code = code_of(&browser.allow(&page, scope));
    let reply = exchange(server, &client, &code);
    assert_eq!(reply.status, 200, "{}", reply.body);
    tokens(&client, &reply.json())
}

pub(crate) fn tokens(client: &str, reply: &Value) -> Tokens {
    let text = |name: &str| reply[name].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
    Tokens {
        client: client.to_owned(),
        access: text("access_token"),
        refresh: text("refresh_token"),
        reply: reply.clone(),
    }
}

/// Registers a client and returns its id.
pub(crate) fn register(server: &Server, redirect_uris: &[&str]) -> String {
    let body = json!({"client_name": "Test <client>", "redirect_uris": redirect_uris});
    let reply = server.send_bare("POST", "/oauth/register", &[JSON], &body.to_string());
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()["client_id"].as_str().unwrap().to_owned()
}

/// The address with which a client opens the browser.
pub(crate) fn authorize(client: &str, scope: &str) -> String {
    authorize_with(client, &[("scope", scope)])
}

/// The same with other parameters, or without one whose value is empty.
pub(crate) fn authorize_with(client: &str, other: &[(&str, &str)]) -> String {
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("state", "a state&"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for &(name, value) in other {
        parameters.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            parameters.push((name, value));
        }
    }
    format!("/oauth/authorize?{}", encode(&parameters))
}

/// Exchanges a code.
pub(crate) fn exchange(server: &Server, client: &str, code: &str) -> Reply {
    exchange_with(server, client, code, &[])
}

pub(crate) fn exchange_with(server: &Server, client: &str, code: &str, other: &[(&str, &str)]) -> Reply {
    let mut parameters = vec![
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    for &(name, value) in other {
        parameters.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            parameters.push((name, value));
        }
    }
    post_form(server, "/oauth/token", &parameters)
}

/// Exchanges a refresh token.
pub(crate) fn refresh(server: &Server, client: &str, token: &str) -> Reply {
    let parameters = [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token)];
    post_form(server, "/oauth/token", &parameters)
}

pub(crate) fn post_form(server: &Server, path: &str, parameters: &[(&str, &str)]) -> Reply {
    server.send_bare("POST", path, &[FORM], &encode(parameters))
}

/// Asserts an error of the token endpoint.
pub(crate) fn assert_error(reply: &Reply, error: &str) {
    assert_eq!((reply.status, &reply.json()["error"]), (400, &json!(error)), "{}", reply.body);
}

/// The code in the answer to the client.
pub(crate) fn code_of(answer: &Reply) -> String {
    parameter(answer, "code").unwrap_or_else(|| panic!("{answer:?}"))
}

/// The address of the client to which a page leads: by itself, and by a link.
pub(crate) fn onward(answer: &Reply) -> Option<String> {
    let (_, rest) = answer.body.split_once("http-equiv=\"refresh\" content=\"0;url=")?;
    let address = rest.split('"').next()?;
    assert_eq!((answer.status, answer.header("referrer-policy")), (200, Some("no-referrer")), "{answer:?}");
    let link = format!("<a rel=\"noreferrer\" href=\"{address}\"");
    assert!(answer.body.contains(&link), "{}", answer.body);
    Some(unescape(address))
}

/// A parameter of the answer to the client.
pub(crate) fn parameter(answer: &Reply, name: &str) -> Option<String> {
    let address = onward(answer)?;
    let (_, query) = address.split_once('?')?;
    let found = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")))?;
    Some(decode(found))
}

/// Whether a token opens the server.
pub(crate) fn opens(server: &Server, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let headers = [JSON, MCP_ACCEPT, ("Authorization", bearer.as_str())];
    server.send_bare("POST", "/mcp", &headers, &handshake("2025-11-25").to_string()).status
}

/// Calls a tool with a token, in a session of its own.
pub(crate) fn call_with(server: &Server, token: &str, tool: &str, arguments: &Value) -> Reply {
    let bearer = format!("Bearer {token}");
    let headers = vec![JSON, MCP_ACCEPT, ("Authorization", bearer.as_str())];
    let opened = server.send_bare("POST", "/mcp", &headers, &handshake("2025-11-25").to_string());
    assert_eq!(opened.status, 200, "{}", opened.body);
    let session = opened.header("mcp-session-id").unwrap();
    let mut headers = headers;
    headers.push(("Mcp-Session-Id", session));
    server.send_bare("POST", "/mcp", &headers, &call(7, tool, arguments).to_string())
}

/// A browser that keeps the last cookie that it was given.
pub(crate) struct Browser<'a> {
    server: &'a Server,
    pub(crate) cookie: String,
    /// Cookies that a program at another port has planted, which are sent before and after its own one.
    pub(crate) planted: (String, String),
}

impl<'a> Browser<'a> {
    pub(crate) fn new(server: &'a Server) -> Self {
        Self { server, cookie: String::new(), planted: Default::default() }
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.request("GET", path, &[], "")
    }

    pub(crate) fn post(&mut self, path: &str, parameters: &[(&str, &str)]) -> Reply {
        self.request("POST", path, &[FORM], &encode(parameters))
    }

    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut all = headers.to_vec();
        let cookies = [&self.planted.0, &self.cookie, &self.planted.1].map(String::as_str);
        let cookie = cookies.into_iter().filter(|cookie| !cookie.is_empty()).collect::<Vec<_>>().join("; ");
        if !cookie.is_empty() {
            all.push(("Cookie", cookie.as_str()));
        }
        let reply = self.server.send_bare(method, path, &all, body);
        if let Some(set) = reply.header("set-cookie") {
            set.split(';').next().unwrap().clone_into(&mut self.cookie);
        }
        reply
    }

    /// Opens an address and signs in; returns the page that follows.
    pub(crate) fn sign_in(&mut self, address: &str, secret: &str) -> Reply {
        let reply = self.try_sign_in(address, secret);
        assert_eq!(reply.status, 303, "{}", reply.body);
        let next = reply.header("location").unwrap().to_owned();
        let page = self.get(&next);
        assert_eq!(page.status, 200, "{}", page.body);
        page
    }

    /// Opens an address and sends the form to sign in.
    pub(crate) fn try_sign_in(&mut self, address: &str, secret: &str) -> Reply {
        let page = self.get(address);
        assert_eq!(page.status, 200, "{}", page.body);
        let (request, token) = (hidden(&page, "request"), hidden(&page, "token"));
        self.post("/oauth/sign-in", &[("request", &request), ("token", &token), ("secret", secret)])
    }

    /// Allows what a page of consent asks for, with these rights.
    pub(crate) fn allow(&mut self, page: &Reply, scope: &str) -> Reply {
        let project = page.body.split("<option value=\"").nth(1).and_then(|rest| rest.split('"').next());
        self.allow_in(page, scope, project.unwrap_or_else(|| panic!("{}", page.body)))
    }

    pub(crate) fn allow_in(&mut self, page: &Reply, scope: &str, project: &str) -> Reply {
        let (request, token) = (hidden(page, "request"), hidden(page, "token"));
        let mut parameters = vec![
            ("request", request.as_str()),
            ("token", token.as_str()),
            ("project", project),
            ("decision", "allow"),
        ];
        parameters.extend(scope.split(' ').map(|right| (right, "yes")));
        self.post("/oauth/authorize", &parameters)
    }
}

/// The value of a hidden field.
pub(crate) fn hidden(page: &Reply, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let value = page.body.split(&start).nth(1).and_then(|rest| rest.split('"').next());
    let value = value.unwrap_or_else(|| panic!("no field `{name}`: {}", page.body));
    unescape(value)
}

fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// Parameters as a form or a query.
pub(crate) fn encode(parameters: &[(&str, &str)]) -> String {
    let escaped = |text: &str| {
        text.bytes().fold(String::new(), |mut all, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                all.push(char::from(byte));
            } else {
                all.push_str(&format!("%{byte:02X}"));
            }
            all
        })
    };
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    pairs.join("&")
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}
