//! PKCE with S256, the only method (RFC 7636).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memory_bank_core::identity::KeyHash;

/// Reads a challenge: the SHA-256 of a verifier in base64url, without padding.
pub(super) fn challenge(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// The challenge that belongs to a verifier; none if the text has not the form of one.
pub(super) fn challenge_of(verifier: &str) -> Option<[u8; 32]> {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let fits = (43..=128).contains(&verifier.len()) && verifier.bytes().all(is_unreserved);
    fits.then(|| *KeyHash::of(verifier.as_bytes()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_fits() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), challenge_of(verifier));
        assert!(challenge_of(verifier).is_some());
    }

    #[test]
    fn other_forms_are_refused() {
        for text in
            ["", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw"]
        {
            assert_eq!(challenge(text), None, "{text}");
        }
        for text in
            ["short", &"a".repeat(129), &format!("{}ä", "a".repeat(43)), &format!("{} ", "a".repeat(43))]
        {
            assert_eq!(challenge_of(text), None, "{text}");
        }
    }
}
