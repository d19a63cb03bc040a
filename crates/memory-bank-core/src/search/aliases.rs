//! Short and long names of the same thing, as software developers write them.

/// Synonyms, one group per line.
const SYNONYMS: [&str; 34] = [
    "k8s kubernetes",
    "i18n internationalization internationalisation",
    "l10n localization localisation",
    "a11y accessibility",
    "golang go",
    "js javascript",
    "ts typescript",
    "py python",
    "db database",
    "pg postgres postgresql",
    "auth authentication authorization",
    "authn authentication",
    "authz authorization",
    "config configuration",
    "env environment",
    "repo repository",
    "dev development",
    "prod production",
    "perf performance",
    "docs documentation",
    "deps dependencies",
    "infra infrastructure",
    "msg message",
    "ui interface",
    "jan january",
    "feb february",
    "mar march",
    "apr april",
    "aug august",
    "sep sept september",
    "oct october",
    "nov november",
    "dec december",
    "approx approximately",
];

/// The synonyms of a word in lower case.
pub(super) fn aliases_of(word: &str) -> impl Iterator<Item = &'static str> {
    SYNONYMS
        .iter()
        .filter(move |line| line.split(' ').any(|name| name == word))
        .flat_map(|line| line.split(' '))
        .filter(move |name| *name != word)
}
