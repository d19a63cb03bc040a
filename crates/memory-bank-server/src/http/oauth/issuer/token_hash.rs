//! The hash by which a token of an outside issuer is stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memory_bank_core::identity::KeyHash;
use serde_json::Value;

use crate::http::oauth::issuer::strict_json;

/// The orders of the curves P-256 and P-384 (SP 800-186, 3.2.1), most significant byte first.
const ORDER_P256: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
const ORDER_P384: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a,
    0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];

/// The hash of a token. From an ECDSA signature (r, s) anybody can make (r, n - s), which is as valid: both are one token,
/// so that the end of one ends the other.
pub(crate) fn token_hash(token: &str) -> KeyHash {
    match with_low_s(token) {
        Some(other) => KeyHash::of(other.as_bytes()),
        None => KeyHash::of(token.as_bytes()),
    }
}

/// The token with the smaller of both values of s, if it has the larger one.
fn with_low_s(token: &str) -> Option<String> {
    let (signed, signature) = token.rsplit_once('.')?;
    let header = strict_json::object(&URL_SAFE_NO_PAD.decode(signed.split('.').next()?).ok()?)?;
    let order: &[u8] = match header.get("alg").and_then(Value::as_str)? {
        "ES256" => &ORDER_P256,
        "ES384" => &ORDER_P384,
        _ => return None,
    };
    let mut signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let s = signature.get(order.len()..).filter(|s| s.len() == order.len())?;
    let other = difference(order, s)?;
    if s <= other.as_slice() {
        return None;
    }
    signature.truncate(order.len());
    signature.extend(other);
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// `a - b` of two numbers of the same length; `None` if that is negative.
fn difference(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    let mut borrowed = false;
    let mut bytes: Vec<u8> = Vec::with_capacity(a.len());
    for (x, y) in a.iter().zip(b).rev() {
        let (rest, first) = x.overflowing_sub(*y);
        let (rest, second) = rest.overflowing_sub(u8::from(borrowed));
        borrowed = first || second;
        bytes.push(rest);
    }
    bytes.reverse();
    (!borrowed).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(algorithm: &str, r_and_s: &[u8]) -> String {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}"}}"#));
        format!("{header}.e30.{}", URL_SAFE_NO_PAD.encode(r_and_s))
    }

    #[test]
    fn both_signatures_of_a_token_have_one_hash() {
        for (algorithm, order) in [("ES256", &ORDER_P256[..]), ("ES384", &ORDER_P384[..])] {
            for s in [vec![1; order.len()], vec![0xfe; order.len()], vec![0x7f; order.len()]] {
                let r = vec![9; order.len()];
                let other = difference(order, &s).unwrap();
                assert_ne!(s, other);
                let [one, two] = [&s, &other].map(|s| token(algorithm, &[r.clone(), s.clone()].concat()));
                assert_eq!(token_hash(&one), token_hash(&two), "{algorithm}");
                let foreign = token(algorithm, &[r, vec![2; order.len()]].concat());
                assert_ne!(token_hash(&one), token_hash(&foreign), "{algorithm}");
            }
        }
    }

    #[test]
    fn all_other_texts_have_their_own_hash() {
        let out_of_range = token("ES256", &[0xff; 64]);
        let short = token("ES256", &[0xfe; 63]);
        let long = token("ES384", &[0xfe; 97]);
        let other = token("EdDSA", &[0xfe; 64]);
        for text in [out_of_range.as_str(), &short, &long, &other, "eyJ.e30.x", "eyJ", "a.b.c", ""] {
            assert_eq!(token_hash(text), KeyHash::of(text.as_bytes()), "{text}");
        }
    }
}
