//! What a secret looks like: beginnings of tokens, and names of values. It must not know what happens to
//! a secret.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::command_rules::command_rules;
use super::language_rules::language_rules;
use super::value_rule::{ValueForm, ValueRule, compile, rule, value, word_rule};

/// The beginning of every API key of this server.
pub const OWN_KEY_PREFIX: &str = "mbmcp_";
/// The line above a private key.
pub(super) const PRIVATE_KEY_HEAD: &str = r"-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY";
/// Names of secrets, also as the last part of a longer name.
pub(super) const NAMES: &str = r"pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|shared[_-]?access[_-]?(?:key|signature)|private[_-]?key|signing[_-]?key|encryption[_-]?key|credentials?|bearer|cookie|session[_-]?id";

/// The tokens of an issuer.
pub(super) struct TokenRule {
    /// The pattern of their beginning.
    pub(super) prefix: &'static str,
    /// One of these is in each such beginning, in small letters.
    stems: &'static [&'static str],
    /// Their kind, if the beginning is rare enough for a warning, and the fewest characters of such a token.
    pub(super) warning: Option<(&'static str, usize)>,
}

/// The beginnings of tokens of well-known issuers. The first one that fits counts.
pub(super) const TOKENS: [TokenRule; 25] = [
    token(r"gh[pousr]_", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], "a GitHub token", 36),
    token(r"github_pat_", &["github_pat_"], "a GitHub token", 40),
    token(r"glpat-", &["glpat-"], "a GitLab token", 20),
    // Those that GitLab documents: `gl` and any letters is a part of ordinary words, such as `english-`.
    masked_token(
        r"gl(?:agent|cbt|dt|ffct|ft|imt|oas|ptt|rtr?|soat|wt)-",
        &[
            "glagent-", "glcbt-", "gldt-", "glffct-", "glft-", "glimt-", "gloas-", "glptt-", "glrt-",
            "glrtr-", "glsoat-", "glwt-",
        ],
    ),
    token(r"\bsk-ant-", &["sk-ant-"], "an Anthropic key", 30),
    token(r"[sr]k_live_", &["k_live_"], "a Stripe key", 20),
    masked_token(r"[sr]k_(?:test|prod)_", &["k_test_", "k_prod_"]),
    token(r"\bsk-", &["sk-"], "an API key", 30),
    token(r"\bA[KS]IA", &["akia", "asia"], "an AWS key", 20),
    token(r"AIza", &["aiza"], "a Google key", 35),
    token(r"xox[bp]-", &["xoxb-", "xoxp-"], "a Slack token", 20),
    masked_token(r"xox[aeors]-", &["xoxa-", "xoxe-", "xoxo-", "xoxr-", "xoxs-"]),
    token(r"npm_", &["npm_"], "an npm token", 36),
    token(r"hf_", &["hf_"], "a Hugging Face token", 30),
    token(r"pypi-AgE", &["pypi-age"], "a PyPI token", 40),
    token(r"mbmcp_(?:live|test)_", &["mbmcp_"], "a key of this server", 40),
    masked_token(r"do[por]_v1_", &["_v1_"]),
    masked_token(r"shp(?:at|ca|pa|ss)_", &["shpat_", "shpca_", "shppa_", "shpss_"]),
    masked_token(r"SG\.", &["sg."]),
    masked_token(r"ya29\.", &["ya29."]),
    masked_token(r"NR(?:AK|JS|II)-", &["nrak-", "nrjs-", "nrii-"]),
    masked_token(r"tskey-[a-z]{3,9}-", &["tskey-"]),
    masked_token(r"\bgsk_", &["gsk_"]),
    masked_token(r"sbp_(?:v0_)?", &["sbp_"]),
    // JSON web tokens.
    masked_token(r"eyJ", &["eyj"]),
];

const fn token(
    prefix: &'static str,
    stems: &'static [&'static str],
    kind: &'static str,
    least_chars: usize,
) -> TokenRule {
    TokenRule { prefix, stems, warning: Some((kind, least_chars)) }
}

const fn masked_token(prefix: &'static str, stems: &'static [&'static str]) -> TokenRule {
    TokenRule { prefix, stems, warning: None }
}

/// The words in [`NAMES`].
pub(super) const NAME_WORDS: &[&str] =
    &["pass", "pwd", "secret", "token", "key", "signature", "credential", "bearer", "cookie", "session"];

/// The rules for secrets without an issuer.
pub(super) fn value_rules() -> Vec<ValueRule> {
    let mut rules = general_rules();
    rules.extend(assignment_rules());
    rules.extend(command_rules());
    rules.extend(language_rules());
    rules
}

fn general_rules() -> Vec<ValueRule> {
    let prefixes: Vec<&str> = TOKENS.iter().map(|rule| rule.prefix).collect();
    let stems: Vec<&str> = TOKENS.iter().flat_map(|rule| rule.stems).copied().collect();
    vec![
        // A key of this server, at any length.
        rule(&[OWN_KEY_PREFIX], 0, format!("({OWN_KEY_PREFIX}(?:live|test)_[A-Za-z0-9_-]+)"), ValueForm::Any),
        rule(&stems, 16, format!("((?:{})[A-Za-z0-9._-]{{16,}})", prefixes.join("|")), ValueForm::Mixed),
        // A token of Docker may have no digit.
        rule(&["dckr_"], 16, r"(dckr_[op]at_[A-Za-z0-9_-]{16,})", ValueForm::Any),
        // A password of Neon has 12 characters.
        rule(&["npg_"], 12, r"\b(npg_[A-Za-z0-9]{8,})", ValueForm::Mixed),
        rule(&["key-"], 32, r"\b((?:pub)?key-[0-9a-z]{32})\b", ValueForm::Mixed),
        // `scheme://user:password@host`, `https://token@host`.
        rule(&["://"], 0, r"(?i)\b[a-z][a-z0-9+.-]*://[^\s:/?#@]*:([^\s]+)@", ValueForm::Any),
        rule(&["://"], 0, r"(?i)\b[a-z][a-z0-9+.-]*://([^\s:/?#@]{12,})@", ValueForm::Any),
        rule(
            &["sig=", "signature=", "code=", "_token="],
            0,
            r"(?i)\b(?:sig|signature|x-amz-signature|x-goog-signature|code|access_token|id_token|refresh_token)=([^\s&]{8,})",
            ValueForm::Any,
        ),
        // `Authorization: Bearer …`, `Basic …`.
        rule(
            &["bearer", "basic", "digest", "apikey"],
            8,
            r"(?i)\b(?:bearer|basic|digest|apikey)\s+([a-z0-9._~+/=-]{8,})",
            ValueForm::Mixed,
        ),
        rule(
            &["pass", "pw"],
            0,
            r#"(?i)(?:password|passwd|passphrase|passcode|pwd|(?:\b|_)pw)\s+(?:is|was|to|=|:)(?:\s{0,3}[:=]\s{0,3}|\s+)(?:"([^"\n]{4,})"|'([^'\n]{4,})'|`([^`\n]{4,})`|([^\s]{4,}))"#,
            ValueForm::Any,
        ),
        // A password of letters only, as the one word of its line or in quotation marks.
        rule(
            &["pass", "pwd"],
            0,
            r#"(?im)(?:password|passwd|passphrase|pwd)(?:\\?["'\]]){0,2}\s{0,3}:\s{0,3}(?:\\?["'`]([^"'`\\]{4,})|([^\s"'`;&,]{6,})\s*$)"#,
            ValueForm::Any,
        ),
        rule(
            &["authorization"],
            0,
            r#"(?i)\bauthorization(?:\\?["'\]]){0,2}\s{0,3}[:=]\s{0,3}(?:\\?["'`])?\w+\s+([^\s"'\\]{8,})"#,
            ValueForm::Any,
        ),
        // A key of age, in capitals as it is written or in small letters, which age reads, too.
        rule(&["age-secret-key-"], 0, r"(?i)(age-secret-key-(?:pq-)?1[a-z0-9]{16,})", ValueForm::Any),
        // A private key, also one that is cut.
        rule(&["-----begin"], 0, format!("(?is)({PRIVATE_KEY_HEAD}.*)"), ValueForm::Any),
        word_rule(|byte| byte.is_ascii_hexdigit(), 32, ValueForm::Hexadecimal),
        word_rule(|byte| byte.is_ascii_alphanumeric(), 20, ValueForm::Improbable),
        word_rule(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte), 24, ValueForm::Base64),
        word_rule(|byte| byte.is_ascii_alphanumeric() || b"+_=-".contains(&byte), 24, ValueForm::Random),
        word_rule(|byte| byte.is_ascii_alphanumeric() || b"+/_=-".contains(&byte), 40, ValueForm::Random),
    ]
}

/// `name=value`, `name: value`, `--name value`, and the forms of other languages.
fn assignment_rules() -> Vec<ValueRule> {
    vec![
        rule(
            NAME_WORDS,
            0,
            format!(
                r#"(?i)(?:{NAMES})[\w.-]{{0,40}}(?:\\?["'\]]){{0,2}}\s{{0,3}}(?:=|:=|=>|%3D)\s{{0,3}}{}"#,
                value(r";&\\", 3, true)
            ),
            ValueForm::Any,
        )
        .where_text(|text| text.contains('=') || text.contains("%3d")),
        rule(
            NAME_WORDS,
            0,
            format!(r#"(?i)(?:{NAMES})(?:\\?["'\]]){{0,2}}\s{{0,3}}:\s{{0,3}}{}"#, value(r";&,\\", 6, false)),
            ValueForm::Mixed,
        )
        .where_text(|text| text.contains(':')),
        rule(
            &["auth"],
            0,
            r#"(?i)auth(?:orization)?(?:\\?["'\]]){0,2}\s{0,3}:\s{0,3}(?:\\?["'`])?([^\s"'`;&,\\]{6,})"#,
            ValueForm::Mixed,
        ),
        rule(
            NAME_WORDS,
            0,
            format!(r#"(?i)(?:^|\s)--?(?:[a-z0-9]+[-_.])*(?:{NAMES})(?:=|\s{{1,3}}){}"#, value("", 4, true)),
            ValueForm::Mixed,
        )
        .where_text(has_option),
        rule(&["-auth"], 0, r#"(?i)(?:^|\s)--?auth[= ]["'`]?([^\s"'`]{4,})"#, ValueForm::Mixed),
        // The text of an element, and the arguments of `define('NAME', 'value')` and its like.
        rule(
            NAME_WORDS,
            0,
            format!(r"(?i)<[\w:.-]{{0,40}}(?:{NAMES})(?:\s[^<>]{{0,200}})?>\s{{0,20}}([^<>\s][^<>]{{2,}})</"),
            ValueForm::Any,
        )
        .where_text(|text| text.contains("</")),
        rule(
            NAME_WORDS,
            0,
            format!(
                r#"(?i)\bdefine\s{{0,3}}\(\s{{0,3}}["'][\w.-]{{0,40}}(?:{NAMES})["']\s{{0,3}},\s{{0,3}}(?:"([^"\n]{{3,}})"|'([^'\n]{{3,}})')"#
            ),
            ValueForm::Any,
        )
        .where_text(|text| text.contains("define")),
        rule(
            NAME_WORDS,
            0,
            format!(
                r#"(?i)["'][\w.-]{{0,40}}(?:{NAMES})["'](?:\s{{0,3}},|\s{{1,3}}value\s{{0,3}}=)\s{{0,3}}(?:"([^"\s]{{4,}})"|'([^'\s]{{4,}})')"#
            ),
            ValueForm::Mixed,
        )
        .where_text(|text| text.contains(['"', '\''])),
        // A file of npm.
        rule(
            &["_auth"],
            0,
            r#"(?i)(?:^|[^\w])_auth\s{0,3}=\s{0,3}["']?([A-Za-z0-9+/=_-]{6,})"#,
            ValueForm::Any,
        ),
        // A line of `.pgpass`: host, port, database, user, password.
        rule(&[":"], 0, format!(r"(?m)^{PGPASS}(\S+)\s*$"), ValueForm::Any).where_text(has_five_parts),
        rule(&[":"], 0, format!(r"(?m)(?:^|[\s(]){PGPASS}([^\s,;)]+)"), ValueForm::Mixed).where_text(has_five_parts),
    ]
}

/// Whether a text has a word that begins like an option: `-x` or `--x`.
fn has_option(text: &str) -> bool {
    text.split_whitespace().any(|word| {
        let name = word.trim_start_matches('-');
        (1..=2).contains(&(word.len() - name.len()))
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
    })
}

/// Whether a text has a word with the colons of a line of `.pgpass`.
fn has_five_parts(text: &str) -> bool {
    text.split_ascii_whitespace().any(|word| word.bytes().filter(|byte| *byte == b':').count() >= 4)
}

/// The first four parts of a line of `.pgpass`.
const PGPASS: &str = r"[^\s:#/(]+:(?:\d{1,5}|\*):(?:[A-Za-z_][^\s:]*|\*):(?:[A-Za-z_][^\s:]*|\*):";

/// Whether the value of this name is a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| compile(&format!("(?i)(?:{NAMES})$")));
    NAME.as_ref().is_some_and(|pattern| pattern.is_match(name.as_bytes()))
}

/// Whether the name of a secret is anywhere in a name, as in `--token-file` and `auth_token_2`.
#[must_use]
pub fn has_secret_name(name: &str) -> bool {
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| compile(&format!("(?i)(?:{NAMES})")));
    NAME.as_ref().is_some_and(|pattern| pattern.is_match(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::string::string_regex;

    use super::*;
    use crate::secrets::value_rule::{ValueMatcher, longest_word};

    static RULES: LazyLock<Vec<ValueRule>> = LazyLock::new(value_rules);

    #[test]
    fn every_rule_compiles() {
        let compiles = |rule: &ValueRule| match &rule.matcher {
            ValueMatcher::Pattern(pattern) => pattern.get().is_some(),
            ValueMatcher::Word { .. } => true,
        };
        assert!(value_rules().iter().all(compiles));
        assert!(TOKENS.iter().all(|rule| compile(rule.prefix).is_some()));
    }

    proptest! {
        #[test]
        fn each_beginning_of_a_token_has_one_of_its_stems(
            (at, beginning) in (0..TOKENS.len()).prop_flat_map(|at| {
                let prefix = TOKENS.get(at).unwrap().prefix.trim_start_matches(r"\b");
                (Just(at), string_regex(prefix).unwrap())
            })
        ) {
            let beginning = beginning.to_ascii_lowercase();
            let stems = TOKENS.get(at).unwrap().stems;
            prop_assert!(stems.iter().any(|stem| beginning.contains(stem)), "{beginning}: {stems:?}");
        }

        #[test]
        fn no_text_that_a_pattern_matches_is_left_out(
            parts in prop::collection::vec(prop_oneof![
                Just("password"), Just("API_KEY"), Just("token"), Just("auth"), Just("define('"), Just("value"), Just("db:5432:app:bob"),
                Just("login"), Just("Authorization"), Just("bearer"), Just(" "), Just("\n"), Just("\u{a0}"), Just(":"), Just("="),
                Just("=>"), Just("%3D"), Just("--"), Just("-"), Just("<"), Just(">"), Just("</"), Just("'"), Just("\""), Just(","),
                Just("hunter22"), Just("Sw0rdfish!"), Just("."), Just("("),
            ], 0..12)
        ) {
            let text = parts.concat();
            let (folded, longest) = (text.to_ascii_lowercase(), longest_word(&text));
            for rule in RULES.iter() {
                let ValueMatcher::Pattern(pattern) = &rule.matcher else { continue };
                let matches = pattern.get().is_some_and(|pattern| pattern.is_match(text.as_bytes()));
                prop_assert!(!matches || rule.may_be_in(&folded, longest), "{text:?}: {}", pattern.source);
            }
        }

        #[test]
        fn long_words_are_those_of_a_pattern(text in "[a-fxA-F0-9+/_=. -]{0,120}") {
            let rules = [
                (word_rule(|byte| byte.is_ascii_hexdigit(), 8, ValueForm::Any), "[0-9a-fA-F]{8,}"),
                (word_rule(|byte| byte.is_ascii_alphanumeric(), 4, ValueForm::Any), "[A-Za-z0-9]{4,}"),
            ];
            for (rule, pattern) in rules {
                let mut found = Vec::new();
                rule.find(text.as_bytes(), &mut found);
                let pattern = Regex::new(pattern).unwrap();
                let expected: Vec<_> = pattern.find_iter(text.as_bytes()).map(|word| word.range()).collect();
                prop_assert_eq!(&found, &expected);
            }
        }
    }

    #[test]
    fn names_of_secrets_are_recognised_by_their_last_part() {
        for name in
            ["password", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "apiKey", "session-id"]
        {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["author", "password_policy", "tokens", "keyboard", "key", ""] {
            assert!(!is_secret_name(name), "{name}");
        }
        assert!(has_secret_name("--token-file") && !has_secret_name("keyboard"));
    }
}
