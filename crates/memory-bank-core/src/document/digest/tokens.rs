//! Estimates tokens from above.
//!
//! It needs no vocabulary: it assumes the worst case of current tokenizers, which split words of Latin letters into
//! pieces, digits into threes and other scripts into letters. The estimate must never be too low.

/// An upper bound of the tokens of the text.
#[must_use]
pub fn estimated_tokens(text: &str) -> usize {
    // In tenths of a token.
    let mut tenths = 0;
    let mut run = Run::None;
    let mut length = 0;
    for character in text.chars() {
        let next = Run::of(character);
        if next == run {
            length += 1;
        } else {
            tenths += run.tenths(length);
            run = next;
            length = 1;
        }
    }
    (tenths + run.tenths(length)).div_ceil(10)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    None,
    Blank,
    Latin,
    Capitals,
    Accented,
    Cyrillic,
    Digits,
    Hangul,
    Wide,
    Sign,
    Other,
    /// Scripts of which a model's vocabulary has the bytes only.
    Rare,
}

impl Run {
    fn of(character: char) -> Self {
        match character {
            ' ' => Self::Blank,
            'a'..='z' => Self::Latin,
            'A'..='Z' => Self::Capitals,
            '0'..='9' => Self::Digits,
            '!'..='~' => Self::Sign,
            '\u{c0}'..='\u{24f}' => Self::Accented,
            '\u{400}'..='\u{4ff}' => Self::Cyrillic,
            '\u{ac00}'..='\u{d7a3}' => Self::Hangul,
            '\u{3400}'..='\u{4dbf}' | '\u{a000}'..='\u{a4cf}' => Self::Rare,
            '\u{3000}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}' => Self::Wide,
            '\u{1f000}'..='\u{1faff}' => Self::Other,
            '\u{10000}'.. => Self::Rare,
            _ => Self::Other,
        }
    }

    fn tenths(self, length: usize) -> usize {
        match self {
            Self::None => 0,
            // One blank belongs to the next word.
            Self::Blank => (length - 1) * 5,
            Self::Latin => length.div_ceil(7) * 10,
            Self::Capitals if length == 1 => 4,
            Self::Capitals => length.div_ceil(3) * 10,
            Self::Accented => length * 8,
            Self::Cyrillic => length.div_ceil(3) * 10,
            Self::Digits => length.div_ceil(3) * 10,
            Self::Hangul => length * 9,
            Self::Wide => length * 9,
            Self::Sign if length == 1 => 10,
            Self::Sign => length.div_ceil(2) * 11,
            Self::Other => length * 20,
            Self::Rare => length * 40,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The counts are those of o200k.
    #[rstest]
    #[case("The quick brown fox jumps over the lazy dog.", 10)]
    #[case("- [2026-11-22 09:30:07] [alice] - Did: thing", 22)]
    #[case("下一步计划：完成支付模块的退款功能", 10)]
    #[case("Следующие шаги: завершить модуль оплаты", 10)]
    #[case("", 0)]
    fn the_estimate_is_not_too_low(#[case] text: &str, #[case] tokens: usize) {
        assert!(estimated_tokens(text) >= tokens, "{} for {text}", estimated_tokens(text));
        assert!(estimated_tokens(text) <= tokens * 2, "{} for {text}", estimated_tokens(text));
    }
}
