//! The mapping of an issuer's claims to projects and roles: `group:dev=shop:editor,domain:example.com=shop:viewer`.
//! Claims come from outside: only their exact forms count, and what cannot be read gives nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::caller::Role;

/// The claim with the groups of a user, unless a setting names another one.
pub const GROUPS_CLAIM: &str = "groups";
/// Google's issuer. It confirms an address once; `hd` shows that the domain's owner has the account today.
const GOOGLE: &str = "https://accounts.google.com";
/// The most rules.
const MOST_RULES: usize = 1000;

/// A project that a mapping gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedProject {
    /// Its short name.
    pub slug: String,
    /// The role in it.
    pub role: Role,
}

/// Claims of a token whose signature, issuer, audience and times were verified.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedClaims<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// The user's id at the issuer.
    pub subject: &'a str,
    /// All claims.
    pub all: &'a Map<String, Value>,
}

impl<'a> VerifiedClaims<'a> {
    /// A claim that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.all.get(name)?.as_str()
    }

    /// The address, if the issuer has verified it.
    #[must_use]
    pub fn email(&self) -> Option<&'a str> {
        let is_verified = self.all.get("email_verified") == Some(&Value::Bool(true));
        self.text("email").filter(|email| is_verified && email.len() <= 320 && domain(email).is_some())
    }

    /// The groups of a claim, which is a text or a list of texts. With dots its name is a path (`realm_access.roles`).
    fn groups(&self, claim: &str) -> Vec<&'a str> {
        let found = self.all.get(claim).or_else(|| {
            let mut steps = claim.split('.');
            let first = self.all.get(steps.next()?)?;
            steps.try_fold(first, |value, step| value.get(step))
        });
        match found {
            Some(Value::String(group)) => vec![group],
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

/// The domain of a plain address.
fn domain(email: &str) -> Option<&str> {
    let (name, domain) = email.split_once('@')?;
    let is_plain = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|char| !char.is_control() && !char.is_whitespace() && !"@,;<>\"\\".contains(char))
    };
    (is_plain(name) && is_plain(domain) && domain.is_ascii()).then_some(domain)
}

/// RuleSubject a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RuleSubject {
    Group(String),
    /// In lower case.
    Domain(String),
    /// In lower case.
    Email(String),
    Subject(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    whom: RuleSubject,
    gives: MappedProject,
}

/// A mapping of claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimMapping {
    rules: Vec<Rule>,
    groups_claim: String,
}

/// Why a text is not a mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{rule}` {why}; write `group:NAME=PROJECT:ROLE` or `domain:example.com=PROJECT:ROLE`, separated by commas"
)]
pub struct MalformedMapping {
    rule: String,
    why: &'static str,
}

impl ClaimMapping {
    /// Returns this mapping with another claim for groups.
    #[must_use]
    pub fn with_groups_claim(self, groups_claim: &str) -> Self {
        Self { groups_claim: groups_claim.to_owned(), ..self }
    }

    /// Whether the claims contain the list of groups, also an empty one.
    #[must_use]
    pub fn has_groups(&self, claims: &Map<String, Value>) -> bool {
        let first = self.groups_claim.split('.').next().unwrap_or_default();
        claims.contains_key(&self.groups_claim) || claims.contains_key(first)
    }

    /// The projects that claims give, each once, with the highest of its roles.
    #[must_use]
    pub fn projects(&self, claims: &VerifiedClaims<'_>) -> Vec<MappedProject> {
        let groups = claims.groups(&self.groups_claim);
        let mut given: BTreeMap<&str, Role> = BTreeMap::new();
        for rule in self.rules.iter().filter(|rule| rule.whom.is(claims, &groups)) {
            let role = given.entry(&rule.gives.slug).or_insert(rule.gives.role);
            *role = rule.gives.role.max(*role);
        }
        given.into_iter().map(|(slug, role)| MappedProject { slug: slug.to_owned(), role }).collect()
    }
}

impl RuleSubject {
    fn is(&self, claims: &VerifiedClaims<'_>, groups: &[&str]) -> bool {
        let email = claims.email();
        match self {
            Self::Group(group) => groups.contains(&group.as_str()),
            Self::Subject(subject) => claims.subject == subject,
            Self::Email(expected) => email.is_some_and(|email| email.eq_ignore_ascii_case(expected)),
            Self::Domain(expected) => {
                let is_here =
                    |domain: Option<&str>| domain.is_some_and(|domain| domain.eq_ignore_ascii_case(expected));
                is_here(email.and_then(domain)) && (claims.issuer != GOOGLE || is_here(claims.text("hd")))
            }
        }
    }
}

impl FromStr for ClaimMapping {
    type Err = MalformedMapping;

    /// Reads rules, separated by commas or lines. In a name, `,` is written `%2C`, `=` `%3D`, and `%` `%25`.
    fn from_str(text: &str) -> Result<Self, MalformedMapping> {
        let parts = text.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty());
        let rules: Vec<Rule> = parts.map(str::parse).collect::<Result<_, _>>()?;
        let refused = |why| Err(MalformedMapping { rule: text.chars().take(80).collect(), why });
        match rules.len() {
            0 => refused("has no rule"),
            1..=MOST_RULES => Ok(Self { rules, groups_claim: GROUPS_CLAIM.to_owned() }),
            _ => refused("has more than 1000 rules"),
        }
    }
}

impl FromStr for Rule {
    type Err = MalformedMapping;

    fn from_str(text: &str) -> Result<Self, MalformedMapping> {
        let refused = |why| MalformedMapping { rule: text.chars().take(80).collect(), why };
        let (whom, gives) = text.split_once('=').ok_or_else(|| refused("gives no project"))?;
        if gives.contains('=') {
            return Err(refused("has two equals signs; write one in a name as `%3D`"));
        }
        let (slug, role) = gives.rsplit_once(':').ok_or_else(|| refused("names no role"))?;
        let (slug, role) = (slug.trim(), role.trim());
        let role = Role::ALL.into_iter().find(|known| known.as_str() == role);
        let role = role.ok_or_else(|| refused("names a role that is not `viewer`, `editor` or `owner`"))?;
        if !is_slug(slug) {
            return Err(refused("names a project that cannot exist"));
        }
        let (kind, name) = whom.split_once(':').ok_or_else(|| refused("does not say what it is about"))?;
        let name = decoded(name.trim())
            .ok_or_else(|| refused("has a percent sign that is not `%2C`, `%3D` or `%25`"))?;
        if name.is_empty() {
            return Err(refused("names nobody"));
        }
        let whom = match kind.trim() {
            "group" => RuleSubject::Group(name),
            "domain" if is_domain(&name) => RuleSubject::Domain(name.to_ascii_lowercase()),
            "domain" => return Err(refused("names a domain that cannot exist")),
            "email" if domain(&name).is_some() => RuleSubject::Email(name.to_ascii_lowercase()),
            "email" => return Err(refused("names an address that cannot exist")),
            "subject" => RuleSubject::Subject(name),
            _ => return Err(refused("is about something else than `group`, `domain`, `email` or `subject`")),
        };
        Ok(Self { whom, gives: MappedProject { slug: slug.to_owned(), role } })
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        decoded.push(match code {
            "2C" | "2c" => ',',
            "3D" | "3d" => '=',
            "25" => '%',
            _ => return None,
        });
        decoded.push_str(rest);
    }
    Some(decoded)
}

/// A domain in ASCII with a dot: an end such as `com` would let everybody in.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(is_label)
}

fn is_slug(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let is_outer =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    bytes.len() <= 100
        && bytes.iter().all(|byte| is_inner(*byte))
        && is_outer(bytes.first())
        && is_outer(bytes.last())
}

impl fmt::Display for MappedProject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.slug, self.role.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn granted_roles(mapping: &str, issuer: &str, claims: &Value) -> Vec<String> {
        let mapping: ClaimMapping = mapping.parse().unwrap();
        let verified = VerifiedClaims { issuer, subject: "s1", all: claims.as_object().unwrap() };
        mapping.projects(&verified).iter().map(ToString::to_string).collect()
    }

    fn here(mapping: &str, claims: &Value) -> Vec<String> {
        granted_roles(mapping, "https://login.example.com", claims)
    }

    #[test]
    fn groups_give_the_highest_of_their_roles() {
        let mapping =
            "group:dev=shop:editor, group:all=shop:viewer\ngroup:admins=shop:owner,group:all=docs:viewer";
        assert_eq!(here(mapping, &json!({"groups": ["all", "dev"]})), ["docs:viewer", "shop:editor"]);
        assert_eq!(here(mapping, &json!({"groups": "dev"})), ["shop:editor"]);
        for claims in [
            json!({}),
            json!({"groups": []}),
            json!({"groups": ["DEV", "dev ", "de", "dev,all", ["dev"], {"dev": true}]}),
            json!({"groups": "dev all"}),
            json!({"groups": {"dev": true}}),
            json!({"groups": true}),
            json!({"roles": ["dev"]}),
        ] {
            assert_eq!(here(mapping, &claims), [""; 0], "{claims}");
        }
    }

    #[test]
    fn another_claim_may_have_the_groups_also_below_others() {
        let claims = json!({"realm_access": {"roles": ["dev"]}, "https://example.com/groups": ["all"]});
        let verified = VerifiedClaims { issuer: "i", subject: "s1", all: claims.as_object().unwrap() };
        let of = |claim: &str| {
            let mapping: ClaimMapping = "group:dev=a:viewer,group:all=b:viewer".parse().unwrap();
            mapping
                .with_groups_claim(claim)
                .projects(&verified)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(of("realm_access.roles"), ["a:viewer"]);
        assert_eq!(of("https://example.com/groups"), ["b:viewer"]);
        assert_eq!(of("realm_access.roles.0"), [""; 0]);
        assert_eq!(of("realm_access"), [""; 0]);
    }

    #[test]
    fn a_domain_counts_with_a_verified_address_only() {
        let mapping = "domain:Example.com=shop:viewer,email:Boss@example.com=shop:owner";
        let with = |email: &str| here(mapping, &json!({"email": email, "email_verified": true}));
        assert_eq!(with("a@EXAMPLE.com"), ["shop:viewer"]);
        assert_eq!(with("boss@example.com"), ["shop:owner"]);
        for email in [
            "a@sub.example.com",
            "a@example.com.evil.example",
            "a@evil.example@example.com",
            "a@evil.example, b@example.com",
            "\"a@evil.example\"@example.com",
            "<a@example.com>",
            "a@example.com ",
            "a@example.com\u{0}",
            "@example.com",
            "example.com",
            "a@exаmple.com",
            "",
        ] {
            assert_eq!(with(email), [""; 0], "{email}");
        }
        for word in [json!(false), json!("true"), json!(1), Value::Null] {
            assert_eq!(here(mapping, &json!({"email": "a@example.com", "email_verified": word})), [""; 0]);
        }
        assert_eq!(here(mapping, &json!({"email": "a@example.com"})), [""; 0]);
    }

    #[test]
    fn a_domain_at_google_needs_an_account_of_the_domain() {
        let mapping = "domain:example.com=shop:viewer";
        let claims = json!({"email": "a@example.com", "email_verified": true});
        assert_eq!(granted_roles(mapping, GOOGLE, &claims), [""; 0]);
        let claims = json!({"email": "a@example.com", "email_verified": true, "hd": "example.com"});
        assert_eq!(granted_roles(mapping, GOOGLE, &claims), ["shop:viewer"]);
        let claims = json!({"email": "a@example.com", "email_verified": true, "hd": "other.example"});
        assert_eq!(granted_roles(mapping, GOOGLE, &claims), [""; 0]);
    }

    #[test]
    fn names_may_contain_what_separates_rules() {
        let mapping = "group:cn%3Ddev%2Cou%3Da:b%25=shop:editor,subject:s1=docs:viewer";
        assert_eq!(here(mapping, &json!({"groups": ["cn=dev,ou=a:b%"]})), ["docs:viewer", "shop:editor"]);
    }

    #[test]
    fn a_malformed_mapping_is_refused_with_the_rule() {
        for text in [
            "",
            " , ",
            "group:dev",
            "group:dev=shop",
            "group:dev=shop:admin",
            "group:dev=shop:Owner",
            "group:dev=Shop:owner",
            "group:dev=-shop:owner",
            "group:=shop:owner",
            "dev=shop:owner",
            "groups:dev=shop:owner",
            "domain:com=shop:owner",
            "domain:*=shop:owner",
            "domain:.example.com=shop:owner",
            "domain:@example.com=shop:owner",
            "email:example.com=shop:owner",
            "group:a%20b=shop:owner",
            "group:a%=shop:owner",
            "group:dev=shop:editor;domain:example.com=shop:viewer",
        ] {
            assert!(text.parse::<ClaimMapping>().is_err(), "{text}");
        }
        let error = "group:ok=a:viewer,group:dev=shop:admin".parse::<ClaimMapping>().unwrap_err().to_string();
        assert!(error.starts_with("`group:dev=shop:admin` names a role"), "{error}");
    }
}
