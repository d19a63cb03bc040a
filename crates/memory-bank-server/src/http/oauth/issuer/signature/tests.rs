//! Signatures that another library made (Python's `cryptography`), of the text `header.claims`.

use super::*;

const TEXT: &[u8] = b"header.claims";
const ALL: [&str; 9] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

fn fixture() -> Value {
    serde_json::from_str(include_str!("../signatures.json")).unwrap()
}

fn keys(of: &Value) -> Vec<PublicKey> {
    key_set(of.to_string().as_bytes()).unwrap()
}

fn signed(fixture: &Value, name: &str) -> (String, Vec<u8>) {
    let made = &fixture["signatures"][name];
    let signature = URL_SAFE_NO_PAD.decode(made["signature"].as_str().unwrap()).unwrap();
    (made["kid"].as_str().unwrap().to_owned(), signature)
}

#[test]
fn each_algorithm_verifies_its_own_signature_and_no_other() {
    let fixture = fixture();
    let keys = keys(&fixture);
    for name in ALL {
        let (id, signature) = signed(&fixture, name);
        for key in &keys {
            for other in ALL {
                let good = key.id() == id && other == name;
                let verified = key.verifies(Algorithm::named(other).unwrap(), TEXT, &signature);
                assert_eq!(verified, good, "{name} as {other} with {}", key.id());
            }
        }
        let (key, algorithm) =
            (keys.iter().find(|key| key.id() == id).unwrap(), Algorithm::named(name).unwrap());
        assert!(!key.verifies(algorithm, b"header.claimz", &signature), "{name}");
        let mut changed = signature.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(!key.verifies(algorithm, TEXT, &changed) && !key.verifies(algorithm, TEXT, &[]), "{name}");
    }
}

#[test]
fn a_short_key_verifies_nothing() {
    let fixture = fixture();
    let (id, signature) = signed(&fixture, "small");
    let keys = keys(&fixture);
    let key = keys.iter().find(|key| key.id() == id).unwrap();
    assert!(!key.verifies(Algorithm::Rs256, TEXT, &signature));
}

#[test]
fn shared_secrets_and_no_signature_are_no_algorithms() {
    for name in
        ["none", "None", "", "HS256", "HS384", "HS512", "rs256", "RS1", "ES512", "ES256K", "RSA-OAEP", "dir"]
    {
        assert_eq!(Algorithm::named(name), None, "{name}");
    }
}

#[test]
fn only_keys_for_signatures_are_read() {
    let usable = fixture()["keys"][0].clone();
    let with = |name: &str, value: Value| {
        let mut key = usable.clone();
        key[name] = value;
        keys(&serde_json::json!({"keys": [key]})).len()
    };
    assert_eq!(with("extra", Value::from(1)), 1);
    assert_eq!(with("alg", Value::from("RS256")), 1);
    assert_eq!(with("key_ops", serde_json::json!(["verify"])), 1);
    for (name, value) in [
        ("kid", Value::from("")),
        ("kid", Value::from(7)),
        ("kid", Value::from("k".repeat(LONGEST_ID + 1))),
        ("use", Value::from("enc")),
        ("use", Value::from(1)),
        ("key_ops", serde_json::json!(["encrypt"])),
        ("key_ops", Value::from("verify")),
        ("alg", Value::from("HS256")),
        ("alg", Value::from(1)),
        ("kty", Value::from("oct")),
        ("crv", Value::from("P-256")),
        ("n", Value::from("+/")),
        ("n", Value::Null),
    ] {
        assert_eq!(with(name, value.clone()), 0, "{name} {value}");
    }
    let only = serde_json::json!({"keys": [{"kty": "RSA", "kid": "rsa", "alg": "PS256", "n": usable["n"], "e": usable["e"]}]});
    let (_, signature) = signed(&fixture(), "RS256");
    assert!(!keys(&only)[0].verifies(Algorithm::Rs256, TEXT, &signature), "a key for another algorithm");
    for text in ["", "[]", "{}", r#"{"keys": {}}"#] {
        assert!(key_set(text.as_bytes()).is_none(), "{text}");
    }
    assert!(key_set(br#"{"keys": [1, null, {}]}"#).unwrap().is_empty());
    let many = serde_json::json!({"keys": vec![usable; 1000]});
    assert_eq!(keys(&many).len(), MAX_KEYS);
}
