//! An authorization server outside of ours: it publishes a key, and signs tokens with it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memory_bank_core::caller::Rights;
use memory_bank_core::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use memory_bank_server::http::IssuerSettings;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

/// The id of its key.
const KEY_ID: &str = "key";
/// How long a token is valid, in seconds.
const LIFE: i64 = 300;

/// See the module.
#[derive(Clone)]
pub(super) struct Issuer {
    address: String,
    pair: Arc<EcdsaKeyPair>,
}

impl Issuer {
    /// Starts it; it answers until the process ends.
    pub(super) fn start() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("a key");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let (x, y) = pair.public_key().as_ref().split_at_checked(33).expect("a point");
        let x = x.get(1..).unwrap_or_default();
        let key = json!({"kty": "EC", "crv": "P-256", "kid": KEY_ID, "use": "sig", "alg": "ES256", "x": encode(x), "y": encode(y)});
        let keys = json!({"keys": [key]}).to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // Only the keys are ever asked for. A client that is gone needs no reply.
                let reply = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{keys}",
                    keys.len()
                );
                if stream.read(&mut [0; 2048]).is_ok() {
                    let _ = stream.write_all(reply.as_bytes());
                }
            }
        });
        Self { address, pair: Arc::new(pair) }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// How a server trusts it.
    pub(super) fn settings(&self) -> IssuerSettings {
        IssuerSettings {
            issuer: self.address.clone(),
            audience: None,
            keys: Some(format!("{}/keys", self.address)),
            default_rights: Rights::NONE,
            project: None,
            mapping: None,
            is_listed: true,
        }
    }

    /// A token of a user for this audience, which may read and write.
    pub(super) fn token(&self, subject: &str, audience: &str) -> String {
        let now = SystemClock.now().as_second();
        let claims = json!({
            "iss": self.address, "sub": subject, "aud": audience, "client_id": "app", "scope": "read write",
            "iat": now, "exp": now + LIFE, "jti": SystemEntropy.id(),
        });
        let header = json!({"alg": "ES256", "kid": KEY_ID, "typ": "at+jwt"});
        let part = |value: &Value| encode(value.to_string().as_bytes());
        let text = format!("{}.{}", part(&header), part(&claims));
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).expect("a signature");
        format!("{text}.{}", encode(signature.as_ref()))
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
