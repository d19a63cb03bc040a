//! An authorization server for tests: it publishes keys, counts who fetches them, and signs whatever a test wants.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memory_bank_core::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

/// How the issuer answers for its keys.
#[derive(Clone)]
pub(crate) enum Mood {
    Well,
    /// Closes each connection.
    Down,
    /// Never answers.
    Slow,
    /// Sends these bytes for the keys.
    Odd(Vec<u8>),
}

struct State {
    mood: Mood,
    keys: Vec<Value>,
    fetched: Vec<String>,
}

/// See the module.
pub(crate) struct Issuer {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

/// A key of an issuer.
pub(crate) struct Signer {
    pub(crate) id: String,
    pair: EcdsaKeyPair,
}

impl Signer {
    pub(crate) fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        Self { id: id.to_owned(), pair }
    }

    pub(crate) fn public(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "alg": "ES256",
            "x": encode(&point[1..33]), "y": encode(&point[33..])})
    }

    /// A token with these claims and the usual header.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": "ES256", "kid": self.id, "typ": "at+jwt"}), claims)
    }

    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.sign(&format!("{}.{}", encode(header.to_string()), encode(claims.to_string())))
    }

    /// A header and claims, as they are, with a signature.
    pub(crate) fn sign(&self, text: &str) -> String {
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", encode(signature.as_ref()))
    }
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    pub(crate) fn start(keys: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let keys = keys.iter().map(|key| key.public()).collect();
        let state = Arc::new(Mutex::new(State { mood: Mood::Well, keys, fetched: Vec::new() }));
        let (shared, issuer) = (Arc::clone(&state), address.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, issuer) = (Arc::clone(&shared), issuer.clone());
                std::thread::spawn(move || answer(stream, &shared, &issuer));
            }
        });
        Self { address, state }
    }

    pub(crate) fn publish(&self, keys: &[&Signer]) {
        self.state.lock().unwrap().keys = keys.iter().map(|key| key.public()).collect();
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// How many requests arrived.
    pub(crate) fn fetched(&self) -> usize {
        self.state.lock().unwrap().fetched.len()
    }

    /// The claims of a token for this audience, valid for five minutes.
    pub(crate) fn claims(&self, subject: &str, audience: &str) -> Value {
        let now = now();
        json!({"iss": self.address, "sub": subject, "aud": audience, "client_id": "app", "scope": "openid read write",
            "iat": now, "exp": now + 300, "jti": SystemEntropy.id()})
    }
}

pub(crate) fn now() -> i64 {
    SystemClock.now().as_second()
}

fn answer(mut stream: TcpStream, state: &Mutex<State>, issuer: &str) {
    let mut request = [0; 2048];
    let Ok(length) = stream.read(&mut request) else { return };
    let line = String::from_utf8_lossy(&request[..length]).lines().next().unwrap_or_default().to_owned();
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mood, keys) = {
        let mut state = state.lock().unwrap();
        state.fetched.push(path.clone());
        (state.mood.clone(), state.keys.clone())
    };
    let text = match (mood, path.as_str()) {
        (Mood::Down, _) => return,
        (Mood::Slow, _) => {
            std::thread::sleep(Duration::from_secs(30));
            return;
        }
        (_, "/.well-known/openid-configuration") => {
            reply(&json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}).to_string())
        }
        (Mood::Odd(bytes), "/keys") => bytes,
        (Mood::Well, "/keys") => reply(&json!({"keys": keys}).to_string()),
        _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
    };
    let _written = stream.write_all(&text);
}

pub(crate) fn reply(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
