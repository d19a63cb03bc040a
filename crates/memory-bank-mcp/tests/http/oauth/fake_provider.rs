//! An OpenID provider for tests, which answers as a test wants. A test is its browser: it reads the request in the
//! address, and sends the answer itself.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::fake_issuer::{Signer, encode, now, reply};

pub(super) const CLIENT_ID: &str = "memory bank";
pub(super) const CLIENT_SECRET: &str = "a:secret&";

/// What it answers next.
#[derive(Default)]
struct State {
    is_down: bool,
    metadata: Value,
    /// The reply to a code, as a whole.
    tokens: Option<Vec<u8>>,
    user_info: Option<Value>,
    /// The codes that were sent: form and `Authorization`.
    exchanges: Vec<(String, String)>,
}

/// See the module.
pub(super) struct Provider {
    pub(super) address: String,
    pub(super) signer: Signer,
    state: Arc<Mutex<State>>,
}

impl Provider {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let signer = Signer::new("key 1");
        let state = Arc::new(Mutex::new(State { metadata: json!({}), ..State::default() }));
        let (shared, issuer, keys) =
            (Arc::clone(&state), address.clone(), json!({"keys": [signer.public()]}));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &shared, &issuer, &keys);
            }
        });
        Self { address, signer, state }
    }

    pub(super) fn set_down(&self, is_down: bool) {
        self.state.lock().unwrap().is_down = is_down;
    }

    /// Changes what the metadata says.
    pub(super) fn set_metadata(&self, metadata: Value) {
        self.state.lock().unwrap().metadata = metadata;
    }

    pub(super) fn set_user_info(&self, claims: Value) {
        self.state.lock().unwrap().user_info = Some(claims);
    }

    /// The next code gives this ID token.
    pub(super) fn give(&self, id_token: &str) {
        let tokens = json!({"access_token": "at-1", "token_type": "Bearer", "id_token": id_token});
        self.state.lock().unwrap().tokens = Some(reply(&tokens.to_string()));
    }

    /// The next code has this reply.
    pub(super) fn give_reply(&self, text: Vec<u8>) {
        self.state.lock().unwrap().tokens = Some(text);
    }

    /// The codes that were sent so far: forms and `Authorization`.
    pub(super) fn exchanges(&self) -> Vec<(String, String)> {
        self.state.lock().unwrap().exchanges.clone()
    }

    /// The claims of a good ID token for this nonce.
    pub(super) fn claims(&self, subject: &str, nonce: &str) -> Value {
        json!({"iss": self.address, "sub": subject, "aud": CLIENT_ID, "nonce": nonce, "iat": now(), "exp": now() + 300})
    }

    pub(super) fn id_token(&self, claims: &Value) -> String {
        self.signer.token_with(&json!({"alg": "ES256", "kid": self.signer.id, "typ": "JWT"}), claims)
    }

    /// The value of `Authorization` for the client.
    pub(super) fn basic() -> String {
        format!("Basic {}", STANDARD.encode("memory+bank:a%3Asecret%26"))
    }

    /// A token whose signature is a hash with the public key as its secret.
    pub(super) fn hashed(&self, claims: &Value) -> String {
        let header = json!({"alg": "HS256", "kid": self.signer.id});
        let text = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.signer.public().to_string().as_bytes());
        format!("{text}.{}", encode(ring::hmac::sign(&key, text.as_bytes())))
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>, issuer: &str, keys: &Value) {
    let Some((head, body)) = read(&mut stream) else { return };
    let path = head.split(' ').nth(1).unwrap_or_default();
    let authorization =
        head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
    let mut state = state.lock().unwrap();
    if state.is_down {
        return;
    }
    let text = match path {
        "/.well-known/openid-configuration" => {
            let mut metadata = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/auth?tenant=a"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/keys"),
            });
            if state.user_info.is_some() {
                metadata["userinfo_endpoint"] = json!(format!("{issuer}/me"));
            }
            for (name, value) in state.metadata.as_object().unwrap() {
                metadata[name] = value.clone();
            }
            reply(&metadata.to_string())
        }
        "/keys" => reply(&keys.to_string()),
        "/me" if authorization == "Bearer at-1" => {
            reply(&state.user_info.clone().unwrap_or_default().to_string())
        }
        "/token" => {
            state.exchanges.push((body, authorization.to_owned()));
            let refused =
                b"HTTP/1.1 400 Bad Request\r\ncontent-length: 25\r\n\r\n{\"error\":\"invalid_grant\"}";
            state.tokens.take().unwrap_or_else(|| refused.to_vec())
        }
        _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
    };
    let _written = stream.write_all(&text);
}

/// The head and the body of a request.
fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut text = String::new();
    let mut part = [0; 4096];
    loop {
        let length = stream.read(&mut part).ok().filter(|length| *length > 0)?;
        text.push_str(&String::from_utf8_lossy(&part[..length]));
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let expected = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            if body.len() >= expected.parse().unwrap() {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
    }
}
