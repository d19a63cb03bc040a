//! Texts of sources that look like secrets. They are the user's own text and are imported; the user is warned, since a
//! bank may be shared or tracked by version control. A warning never repeats the secret.

/// The most secrets that are named for one source.
const NAMED: usize = 5;

/// A text that looks like a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secret {
    /// Its line, from 1.
    pub line: usize,
    /// Its kind.
    pub kind: &'static str,
}

/// The beginnings of keys, the fewest characters of the whole, and their kind.
const PREFIXES: [(&str, usize, &str); 20] = [
    ("ghp_", 36, "a GitHub token"),
    ("gho_", 36, "a GitHub token"),
    ("ghu_", 36, "a GitHub token"),
    ("ghs_", 36, "a GitHub token"),
    ("github_pat_", 40, "a GitHub token"),
    ("glpat-", 20, "a GitLab token"),
    ("sk-ant-", 30, "an Anthropic key"),
    ("sk_live_", 20, "a Stripe key"),
    ("rk_live_", 20, "a Stripe key"),
    ("sk-", 30, "an API key"),
    ("AKIA", 20, "an AWS key"),
    ("ASIA", 20, "an AWS key"),
    ("AIza", 35, "a Google key"),
    ("xoxb-", 20, "a Slack token"),
    ("xoxp-", 20, "a Slack token"),
    ("npm_", 36, "an npm token"),
    ("hf_", 30, "a Hugging Face token"),
    ("pypi-", 40, "a PyPI token"),
    ("mbmcp_live_", 40, "a key of this server"),
    ("mbmcp_test_", 40, "a key of this server"),
];

/// The ends of names whose values are secrets, in lower case.
const NAMES: [&str; 8] =
    ["password", "passwd", "secret", "api_key", "apikey", "api-key", "access_token", "auth_token"];

/// The lines of a text that look like secrets, at most five.
#[must_use]
pub fn secrets(text: &str) -> Vec<Secret> {
    let lines = text.lines().enumerate();
    lines.filter_map(|(at, line)| Some(Secret { line: at + 1, kind: kind(line)? })).take(NAMED).collect()
}

fn kind(line: &str) -> Option<&'static str> {
    if line.contains("-----BEGIN") && line.contains("PRIVATE KEY") {
        return Some("a private key");
    }
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    let words = line.split(|character: char| !is_part(character)).filter(|word| word.len() >= 16);
    words.filter_map(prefixed).next().or_else(|| with_password(line)).or_else(|| assigned(line))
}

fn prefixed(word: &str) -> Option<&'static str> {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let known = PREFIXES.iter().find(|(prefix, least, _)| word.starts_with(prefix) && word.len() >= *least);
    if let Some((_, _, kind)) = known.filter(|_| has_digit) {
        return Some(kind);
    }
    let is_token =
        word.starts_with("eyJ") && word.len() >= 60 && word.bytes().filter(|byte| *byte == b'.').count() == 2;
    is_token.then_some("a JSON web token")
}

/// `scheme://user:password@host`.
fn with_password(line: &str) -> Option<&'static str> {
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
fn assigned(line: &str) -> Option<&'static str> {
    let (name, value) = line.split_once(['=', ':'])?;
    let name = name.trim().trim_matches(['"', '\'', '`', '*']).to_ascii_lowercase();
    let is_named = NAMES.iter().any(|known| name.ends_with(known));
    let value = value.trim().trim_matches(['"', '\'', '`', ',', ';', '*']).trim();
    let is_one_word = value.len() >= 8 && !value.contains(char::is_whitespace);
    let is_mixed = value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic());
    (is_named && is_one_word && is_mixed && is_value(value)).then_some("a password or token")
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
    fn secrets_are_found(#[case] line: &str, #[case] kind: &'static str) {
        assert_eq!(secrets(&format!("# Title\n{line}\n")), [Secret { line: 2, kind }]);
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
        assert_eq!(secrets(line), []);
    }

    #[test]
    fn a_warning_is_bounded() {
        let text = "DB_PASSWORD = s3cr3tvalue\n".repeat(100);
        assert_eq!(secrets(&text).len(), 5);
    }
}
