//! Random words: words whose pairs of letters are rare in languages and in source code. It must not know what happens to them.

/// How frequent a pair of letters is, by the first and the second one: 5 for a pair as frequent as in random letters, and one more
/// for each doubling. Counted in English, German, French, Spanish, Italian, Finnish, Norwegian and Portuguese words, and in names of
/// Rust libraries.
const PAIRS: [&[u8; 26]; 26] = [
    b"46772464634778161878653344",
    b"63216111531611511542511131",
    b"71516417615521821636511131",
    b"62148241712423721542523131",
    b"65675564624779454987554644",
    b"51126531611524611534411121",
    b"51117144511514511553511111",
    b"71127111611433511535412131",
    b"65767663314769753687361315",
    b"41114111111111411111311111",
    b"51116111513313411344311111",
    b"73358532713732731156531151",
    b"74127111611252661143511121",
    b"73687583625426632388543133",
    b"45653443524668561876755222",
    b"71327314611611651745711131",
    b"11111111111211111111611111",
    b"84559453824555731667643152",
    b"63628335735443663378633152",
    b"82429216811433731766612163",
    b"57546442613657351776231212",
    b"61117111611112511211211111",
    b"51115113611213411351111111",
    b"21212111311111131114111111",
    b"31113111212223251253111111",
    b"41115111411111311111311113",
];
/// The score of a pair in [`PAIRS`] that says nothing.
const NEUTRAL: i32 = 5;
/// The score of a letter beside a digit: names have few.
const LETTER_BESIDE_DIGIT: i32 = -2;
/// The fewest characters of a random word, and the sum of scores below which it is random: with small letters, capitals and digits;
/// with letters of one case and digits; with letters of both cases; with letters of one case.
const BOUNDS: [(usize, i32); 4] = [(20, -3), (24, -9), (20, -12), (28, -9)];

/// Whether nobody would write this word of ASCII letters and digits as a name. Hexadecimal numbers are not judged.
pub(super) fn is_improbable(word: &[u8]) -> bool {
    let letters = word.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let has = |is: fn(&u8) -> bool| word.iter().any(is);
    let (has_digits, has_small, has_capitals) =
        (has(u8::is_ascii_digit), has(u8::is_ascii_lowercase), has(u8::is_ascii_uppercase));
    let [all, one_case, letters_only, plain] = BOUNDS;
    let (least, bound) = match (has_digits, has_small && has_capitals) {
        (true, true) => all,
        (true, false) => one_case,
        (false, true) => letters_only,
        (false, false) => plain,
    };
    word.len() >= least
        // Numbers with a unit, and hexadecimal ones, have few letters of their own.
        && letters * 5 >= word.len() * 2
        && !is_number(word)
        && word.iter().zip(word.iter().skip(1)).map(|(first, second)| score(*first, *second)).sum::<i32>() < bound
}

/// The fewest characters of a random word with `/` and `+`, and of one of its parts on average: those of paths are shorter.
const BASE64_CHARACTERS: usize = 20;
const BASE64_PART: usize = 6;
/// The length of a secret access key of AWS. A path has it seldom, so its score may be nearer to that of names.
const ACCESS_KEY_CHARACTERS: usize = 40;

/// Whether nobody would write this word of letters, digits, `/`, `+` and `=` as a path: a number in base 64, such as a key of a cloud.
pub(super) fn is_improbable_base64(word: &[u8]) -> bool {
    let parts: Vec<&[u8]> =
        word.split(|byte| !byte.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let characters: usize = parts.iter().map(|part| part.len()).sum();
    let has = |is: fn(&u8) -> bool| word.iter().any(is);
    let sum: i32 = parts
        .iter()
        .flat_map(|part| part.iter().zip(part.iter().skip(1)))
        .map(|(one, next)| score(*one, *next))
        .sum();
    let share = if word.len() == ACCESS_KEY_CHARACTERS { 8 } else { 3 };
    let bound = i32::try_from(characters / share).unwrap_or(i32::MAX);
    parts.len() > 1
        && characters >= BASE64_CHARACTERS.max(parts.len() * BASE64_PART)
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
        && sum < -bound
}

/// A hexadecimal number, also as a program writes it: `0x…u64`.
fn is_number(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"0x").unwrap_or(word);
    let digits = digits.strip_suffix(b"u64").or_else(|| digits.strip_suffix(b"i64")).unwrap_or(digits);
    digits.iter().all(u8::is_ascii_hexdigit)
}

fn score(first: u8, second: u8) -> i32 {
    match (first.is_ascii_alphabetic(), second.is_ascii_alphabetic()) {
        // A new word of a name in camel case.
        (true, true) if first.is_ascii_lowercase() && second.is_ascii_uppercase() => 0,
        (true, true) => {
            let place = |letter: u8| usize::from(letter.to_ascii_lowercase() - b'a');
            // The alphabet, and a letter again and again.
            if matches!(place(second).wrapping_sub(place(first)), 0 | 1) {
                return 0;
            }
            let level = PAIRS.get(place(first)).and_then(|row| row.get(place(second)));
            level.map_or(0, |level| i32::from(level - b'0') - NEUTRAL)
        }
        (false, false) => 0,
        _ => LETTER_BESIDE_DIGIT,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::secrets::masked;

    /// Numbers without a pattern, the same ones each time.
    struct Numbers(u64);

    impl Numbers {
        fn word(&mut self, alphabet: &[u8], length: usize) -> String {
            let mut letter = || {
                self.0 =
                    self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(alphabet[usize::try_from(self.0 >> 33).unwrap() % alphabet.len()])
            };
            (0..length).map(|_| letter()).collect()
        }
    }

    const SMALL: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
    const SMALL_AND_DIGITS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const ALL: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

    #[rstest]
    #[case(SMALL_AND_DIGITS, 32)]
    #[case(SMALL, 40)]
    #[case(LETTERS, 40)]
    #[case(ALL, 20)]
    #[case(ALL, 24)]
    #[case(SMALL_AND_DIGITS, 24)]
    fn nearly_all_random_words_are_masked(#[case] alphabet: &[u8], #[case] length: usize) {
        let mut numbers = Numbers(7);
        let words: Vec<String> = (0..1000).map(|_| numbers.word(alphabet, length)).collect();
        let shown = words.iter().filter(|word| masked(&format!("use {word} now")).contains(*word)).count();
        assert!(shown <= 10, "{shown} of 1000");
    }

    #[rstest]
    #[case(24, 100)]
    #[case(32, 40)]
    #[case(40, 10)]
    #[case(64, 10)]
    fn nearly_all_random_words_in_base64_are_masked(#[case] length: usize, #[case] most_shown: usize) {
        let alphabet = [ALL, b"+/".as_slice()].concat();
        let mut numbers = Numbers(7);
        let words: Vec<String> = (0..1000).map(|_| numbers.word(&alphabet, length)).collect();
        let with_slash = words.iter().filter(|word| word.contains('/'));
        let shown = with_slash.filter(|word| masked(&format!("use {word} now")).contains(*word)).count();
        assert!(shown <= most_shown, "{shown} of 1000");
    }

    #[rstest]
    #[case("UserProfileSettings2FactorAuthenticationController")]
    #[case("getElementById2FromCachedVersion")]
    #[case("NSAttributedStringDocumentAttributeKey")]
    #[case("vkCmdPipelineBarrier2KHR")]
    #[case("GetCurrentThreadStackLimitsX64")]
    #[case("donaudampfschifffahrtsgesellschaftskapitaen")]
    #[case("pneumonoultramicroscopicsilicovolcanoconiosis")]
    #[case("zhonghuarenmingongheguoxiandai")]
    #[case("kubernetesclusterrolebindings")]
    #[case("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")]
    #[case("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
    #[case("0x0123456789ABCDEFu64")]
    #[case("9223372036854775807i64")]
    #[case("da39a3ee5e6b4b0d3255bfef95601890afd80709")]
    #[case("3F2A9C1B7D5E4F608A9B0C1D2E3F4A5B6C7D8E9F")]
    #[case("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")]
    #[case("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6")]
    #[case("crates/memory-bank-mcp/src/cli/transfer/agent_files/report.rs")]
    #[case("target/debug/deps/memory_bank_mcp-3f2a9c1b7d5e4f60")]
    #[case("20261127T215433Z_add_users_to_projects.sql")]
    #[case("WebAssemblyInstantiateStreamingPolyfill2026")]
    fn names_numbers_and_paths_stay(#[case] word: &str) {
        assert_eq!(masked(word), word);
        assert_eq!(masked(&format!("fix: {word}, finally")), format!("fix: {word}, finally"));
    }
}
