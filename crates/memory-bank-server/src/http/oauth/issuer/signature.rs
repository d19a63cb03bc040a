//! Public keys of an issuer (RFC 7517) and the signatures that they verify (RFC 7518, RFC 8037).
//!
//! The cryptography is `ring`'s, which TLS uses already. `jsonwebtoken` would bring a second library for it beside it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::{Map, Value};

/// The most keys of a set that are read.
const MAX_KEYS: usize = 100;
/// The longest id of a key, in bytes.
pub(super) const LONGEST_ID: usize = 512;

/// The algorithms that are accepted: signatures with a public key. `none` and those with a shared secret are not among
/// them, so that a public key can never be taken for a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// Their names, for metadata.
    pub(crate) const NAMES: [&str; 9] =
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

    /// The algorithm of a name, written exactly so.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &RSA_PSS_2048_8192_SHA512,
            Self::Es256 | Self::Es384 | Self::EdDsa => return None,
        })
    }
}

/// A public key.
#[derive(Debug, Clone)]
pub(crate) struct PublicKey {
    id: String,
    /// The only algorithm that it is for, if it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Debug, Clone)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl PublicKey {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether a signature of a text is of this key and made with this algorithm.
    pub(super) fn verifies(&self, algorithm: Algorithm, text: &[u8], signature: &[u8]) -> bool {
        if self.algorithm.is_some_and(|only| only != algorithm) {
            return false;
        }
        let (with, key): (&'static dyn VerificationAlgorithm, &[u8]) = match (&self.material, algorithm) {
            (Material::Rsa { modulus, exponent }, _) => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                return algorithm.rsa().is_some_and(|with| key.verify(with, text, signature).is_ok());
            }
            (Material::P256(point), Algorithm::Es256) => (&ECDSA_P256_SHA256_FIXED, point),
            (Material::P384(point), Algorithm::Es384) => (&ECDSA_P384_SHA384_FIXED, point),
            (Material::Ed25519(key), Algorithm::EdDsa) => (&ED25519, key),
            _ => return false,
        };
        UnparsedPublicKey::new(with, key).verify(text, signature).is_ok()
    }
}

/// The usable keys of a set; `None` if the text is not a set. Keys without an id, secrets, keys for encryption and keys of
/// other kinds are passed over.
pub(crate) fn key_set(text: &[u8]) -> Option<Vec<PublicKey>> {
    let set: Value = serde_json::from_slice(text).ok()?;
    let keys = set.get("keys")?.as_array()?;
    Some(keys.iter().take(MAX_KEYS).filter_map(|key| public_key(key.as_object()?)).collect())
}

fn public_key(key: &Map<String, Value>) -> Option<PublicKey> {
    let text = |name: &str| key.get(name).map(|value| value.as_str().unwrap_or_default());
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let id = text("kid").filter(|id| !id.is_empty() && id.len() <= LONGEST_ID)?;
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    if let Some(purposes) = key.get("key_ops")
        && !purposes.as_array()?.iter().any(|purpose| purpose == "verify")
    {
        return None;
    }
    let algorithm = match text("alg") {
        Some(name) => Some(Algorithm::named(name)?),
        None => None,
    };
    let point = |length: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        (x.len() == length && y.len() == length).then(|| [&[4][..], &x, &y].concat())
    };
    let material = match (text("kty")?, text("crv")) {
        ("RSA", None) => Material::Rsa { modulus: unsigned(bytes("n")?)?, exponent: unsigned(bytes("e")?)? },
        ("EC", Some("P-256")) => Material::P256(point(32)?),
        ("EC", Some("P-384")) => Material::P384(point(48)?),
        ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x")?),
        _ => return None,
    };
    Some(PublicKey { id: id.to_owned(), algorithm, material })
}

/// A number without leading zeros, which some issuers write; none for zero.
fn unsigned(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests;
