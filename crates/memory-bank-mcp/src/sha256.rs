//! SHA-256 in hexadecimal.

use sha2::{Digest, Sha256};

/// The hash of the bytes, as 64 lower-case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use memory_bank_core::identity::KeyHash;

    use super::*;

    #[test]
    fn the_hash_has_the_standard_form() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        // Existing names in clients' files and prefixes in Redis use the hash of keys.
        assert_eq!(sha256_hex(b"abc"), KeyHash::of(b"abc").to_hex());
    }
}
