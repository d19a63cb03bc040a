//! The connection strings of standbys. This module must not know how they are used.

use super::error::ConfigError;
use super::read::{Read, secret};
use super::variables::REPLICA_URLS;
use super::{Provider, login};

/// Standbys past this many are a mistake.
const MAX_STANDBYS: usize = 16;

/// The connection strings: URLs, separated by white space, or by commas in front of the next URL, since a comma also separates the hosts
/// of one.
///
/// # Errors
/// One is no URL of PostgreSQL, or there are too many.
pub(super) fn urls(provider: Provider, read: Read<'_>) -> Result<Vec<String>, ConfigError> {
    let Some((name, text)) = secret(&REPLICA_URLS, read)? else { return Ok(Vec::new()) };
    let refused =
        |kind| Err(ConfigError::InvalidSecret { name: name.clone(), kind, takes: REPLICA_URLS.takes });
    let text = text.replace(",postgres://", " postgres://").replace(",postgresql://", " postgresql://");
    let urls: Vec<&str> =
        text.split_whitespace().map(|url| url.trim_matches(',')).filter(|url| !url.is_empty()).collect();
    if urls.len() > MAX_STANDBYS {
        return refused("a longer list");
    }
    if !urls.iter().all(|url| url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return refused("a list with another text in it");
    }
    let complete = |url: &str| match provider {
        Provider::Postgres => login::complete(url.to_owned(), read),
        Provider::Supabase => Ok(url.to_owned()),
    };
    urls.into_iter().map(complete).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, ConfigError> {
        let text = text.to_owned();
        urls(Provider::Postgres, &|name| match name {
            "DATABASE_REPLICA_URLS" => Some(text.clone()),
            "PGPASSWORD" => Some("p,w".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn standbys_are_listed_with_white_space_or_commas_and_get_the_common_login() {
        let expected = vec![
            "postgresql://u@one:5433,two/d?password=p%2Cw".to_owned(),
            "postgres://u:x@three/d".to_owned(),
        ];
        for text in [
            "postgresql://u@one:5433,two/d postgres://u:x@three/d",
            "postgresql://u@one:5433,two/d,postgres://u:x@three/d",
            " postgresql://u@one:5433,two/d,\n  postgres://u:x@three/d,\n",
        ] {
            assert_eq!(read(text), Ok(expected.clone()), "{text}");
        }
        assert_eq!(read(" "), Ok(Vec::new()));
        let hosts = "postgresql://u:x@postgres-1,postgres-2/d";
        assert_eq!(read(hosts), Ok(vec![hosts.to_owned()]));
    }

    #[test]
    fn another_text_is_refused_without_being_shown() {
        let many = vec!["postgres://u:secret@h/d"; 17].join(" ");
        for text in ["host=h password=secret", "postgres://u:secret@h/d mysql://u:secret@h/d", &many] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("DATABASE_REPLICA_URLS") && !error.contains("secret"), "{error}");
        }
    }
}
