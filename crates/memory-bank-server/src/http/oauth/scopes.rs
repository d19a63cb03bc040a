//! Scopes as clients write them.

use memory_bank_core::caller::{Right, Rights};

/// The rights of a scope. Words of other servers (`openid`, `offline_access`) are passed over.
pub(super) fn parse(text: &str) -> Rights {
    let named = |word: &str| Right::ALL.into_iter().find(|right| right.as_str() == word);
    text.split(' ').filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_are_passed_over() {
        assert_eq!(parse("admin openid read"), Rights::NONE.with(Right::Read).with(Right::Admin));
        assert_eq!(parse("READ offline_access"), Rights::NONE);
        assert_eq!(parse(""), Rights::NONE);
    }
}
