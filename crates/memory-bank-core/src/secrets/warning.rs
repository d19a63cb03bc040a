//! Lines of imported texts that look like secrets. They are the user's own text and are imported; the user is warned, since a
//! bank may be shared or tracked by version control. A warning never repeats the secret.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::rules::{PRIVATE_KEY_HEAD, TOKENS, is_secret_name};
use super::value_rule::compile;

/// The most warnings for one source.
const MAX_WARNINGS: usize = 5;
/// Shorter words are not tokens.
const MIN_TOKEN_CHARS: usize = 16;
/// Shorter values are not passwords.
const MIN_VALUE_CHARS: usize = 8;
/// The fewest characters of a JSON web token.
const MIN_WEB_TOKEN_CHARS: usize = 60;

/// A line that looks like a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretWarning {
    /// The line, from 1.
    pub line: usize,
    /// The kind of secret.
    pub kind: &'static str,
}

/// The lines of a text that look like secrets, at most five.
#[must_use]
pub fn secret_warnings(text: &str) -> Vec<SecretWarning> {
    let lines = text.lines().enumerate();
    let found =
        lines.filter_map(|(at, line)| Some(SecretWarning { line: at + 1, kind: kind_of_secret(line)? }));
    found.take(MAX_WARNINGS).collect()
}

fn kind_of_secret(line: &str) -> Option<&'static str> {
    static PRIVATE_KEY: LazyLock<Option<Regex>> = LazyLock::new(|| compile(PRIVATE_KEY_HEAD));
    if PRIVATE_KEY.as_ref().is_some_and(|head| head.is_match(line.as_bytes())) {
        return Some("a private key");
    }
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    let words =
        line.split(|character: char| !is_part(character)).filter(|word| word.len() >= MIN_TOKEN_CHARS);
    words
        .filter_map(kind_of_token)
        .next()
        .or_else(|| kind_of_connection_string(line))
        .or_else(|| kind_of_assignment(line))
}

fn kind_of_token(word: &str) -> Option<&'static str> {
    static PREFIXES: LazyLock<Vec<(Regex, &str, usize)>> = LazyLock::new(|| {
        let warned = TOKENS.iter().filter_map(|rule| Some((rule.prefix, rule.warning?)));
        warned
            .filter_map(|(prefix, (kind, least))| Some((compile(&format!("^(?:{prefix})"))?, kind, least)))
            .collect()
    });
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let token =
        PREFIXES.iter().find(|(prefix, _, least)| word.len() >= *least && prefix.is_match(word.as_bytes()));
    if let Some((_, kind, _)) = token.filter(|_| has_digit) {
        return Some(kind);
    }
    let dots = word.bytes().filter(|byte| *byte == b'.').count();
    let is_web_token = word.starts_with("eyJ") && word.len() >= MIN_WEB_TOKEN_CHARS && dots == 2;
    is_web_token.then_some("a JSON web token")
}

/// `scheme://user:password@host`.
fn kind_of_connection_string(line: &str) -> Option<&'static str> {
    line.split("://").skip(1).find_map(|rest| {
        let host = rest
            .split(|character: char| character.is_whitespace() || "/?#\"'`<>)".contains(character))
            .next()?;
        let (credentials, _) = host.rsplit_once('@')?;
        let (_, password) = credentials.split_once(':')?;
        is_value(password).then_some("a connection string with a password")
    })
}

/// `name = value` with the name of a secret.
fn kind_of_assignment(line: &str) -> Option<&'static str> {
    let (name, value) = line.split_once(['=', ':'])?;
    let name = name.trim().trim_matches(['"', '\'', '`', '*']);
    let value = value.trim().trim_matches(['"', '\'', '`', ',', ';', '*']).trim();
    let is_one_word = value.len() >= MIN_VALUE_CHARS && !value.contains(char::is_whitespace);
    let is_mixed = value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic());
    (is_one_word && is_mixed && is_secret_name(name) && is_value(value)).then_some("a password or token")
}

/// Whether this may be a value, not a variable or a placeholder.
fn is_value(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let placeholders = ["password", "pass", "secret", "changeme", "example", "your", "xxx", "..."];
    !text.is_empty()
        && !text.starts_with(['$', '<', '{', '*', '%', '['])
        && !placeholders
            .iter()
            .any(|word| lower == *word || lower.starts_with("your") || lower.contains("example"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("token: ghp_0123456789abcdefABCDEF0123456789abcd", "a GitHub token")]
    #[case("export KEY=sk-ant-api03-0123456789abcdef0123456789", "an Anthropic key")]
    #[case("`AKIAIOSFODNN7ABCDEFG`", "an AWS key")]
    #[case("-----BEGIN OPENSSH PRIVATE KEY-----", "a private key")]
    #[case("postgres://app:hunter22@db.local/x", "a connection string with a password")]
    #[case("DB_PASSWORD = s3cr3tvalue", "a password or token")]
    #[case("- **API_KEY**: a1b2c3d4e5f6", "a password or token")]
    #[case("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI7MDENG", "a password or token")]
    #[case("ghr_0123456789abcdefABCDEF0123456789abcd", "a GitHub token")]
    fn secrets_are_found(#[case] line: &str, #[case] kind: &'static str) {
        assert_eq!(secret_warnings(&format!("# Title\n{line}\n")), [SecretWarning { line: 2, kind }]);
    }

    #[rstest]
    #[case("Set `DB_PASSWORD=$DB_PASSWORD` in the shell")]
    #[case("password: <your password>")]
    #[case("postgres://user:password@localhost/db")]
    #[case("https://example.org/a:b@c")]
    #[case("The secret: never commit one.")]
    #[case("ghp_ is the prefix of tokens, sk-something too")]
    #[case("sk-learn-is-a-library-for-machine-learning")]
    fn ordinary_lines_are_not(#[case] line: &str) {
        assert_eq!(secret_warnings(line), []);
    }

    #[test]
    fn a_warning_is_bounded() {
        let text = "DB_PASSWORD = s3cr3tvalue\n".repeat(100);
        assert_eq!(secret_warnings(&text).len(), 5);
    }
}
