//! libpq's variables: user, password and database, if the connection string lacks them. So a password of any
//! characters needs no escaping. This module must not know the provider.

use std::path::Path;

use super::{
    ConfigError, LOGIN_DATABASE, LOGIN_PASSWORD, LOGIN_USER, Read, SECRET_BYTES, Variable, set, text_file,
};

/// The connection string with what it lacks.
///
/// # Errors
/// The file with the password is needed and cannot be read, or the password is given twice.
pub(super) fn complete(url: String, read: Read<'_>) -> Result<String, ConfigError> {
    let has = Parts::of(&url);
    let mut added = Vec::new();
    let mut add = |key: &str, value: String| added.push(format!("{key}={}", escaped(&value)));
    if !has.user
        && let Some(user) = set(&LOGIN_USER, read)
    {
        add("user", user);
    }
    if !has.password
        && let Some(password) = password(&LOGIN_PASSWORD, read)?
    {
        add("password", password);
    }
    if !has.database
        && let Some(database) = set(&LOGIN_DATABASE, read)
    {
        add("dbname", database);
    }
    if added.is_empty() {
        return Ok(url);
    }
    let joint = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{joint}{}", added.join("&")))
}

/// Which parts a connection string has.
struct Parts {
    user: bool,
    password: bool,
    database: bool,
}

impl Parts {
    fn of(url: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, place) = place.split_once('@').unwrap_or(("", place));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let database = place.split_once('/').map_or("", |(_, database)| database);
        let asks = |key: &str| query.split('&').any(|pair| pair.split('=').next() == Some(key));
        Self {
            user: !user.is_empty() || asks("user"),
            password: !password.is_empty() || asks("password"),
            database: !database.is_empty() || asks("dbname"),
        }
    }
}

/// A password as it was given: white space is significant, except for the line end of a file.
fn password(variable: &Variable, read: Read<'_>) -> Result<Option<String>, ConfigError> {
    let direct = read(variable.name).filter(|value| !value.is_empty());
    let file = variable.file_variable().and_then(|name| {
        let path = read(&name)?.trim().to_owned();
        (!path.is_empty()).then_some((name, path))
    });
    match (direct, file) {
        (Some(_), Some(_)) => Err(ConfigError::Twice { name: variable.name }),
        (direct, None) => Ok(direct),
        (None, Some((name, path))) => {
            let takes = "the path of a file with the value in it";
            let text = text_file(&name, Path::new(&path), takes, SECRET_BYTES)?;
            let text = text.trim_end_matches(['\r', '\n']);
            if text.is_empty() {
                let reason = "it is empty".to_owned();
                return Err(ConfigError::File { name, path, reason, takes });
            }
            Ok(Some(text.to_owned()))
        }
    }
}

/// Every byte but letters and digits, percent-encoded.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            escaped.push(char::from(byte));
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use memory_bank_postgres::ServerLogin;
    use rstest::rstest;

    use super::*;

    fn completed(url: &str, pairs: &[(&str, &str)]) -> Result<String, ConfigError> {
        complete(url.to_owned(), &|name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[rstest]
    #[case(" p$w#@/%:?&='\"\\ \u{e9}")]
    #[case("$HOME ${HOME} $$ `id` #")]
    #[case("host")]
    fn a_password_may_hold_any_character(#[case] wanted: &str) {
        let url = completed(
            "postgresql://postgres:5432",
            &[("PGUSER", "m/b"), ("PGPASSWORD", wanted), ("PGDATABASE", "d b")],
        )
        .unwrap();
        assert!(url.starts_with("postgresql://postgres:5432?user=m%2Fb&password="), "{url}");
        assert!(url.ends_with("&dbname=d%20b"), "{url}");
        let login = ServerLogin::of(&url).unwrap();
        assert_eq!((login.role.as_str(), login.password.as_deref()), ("m/b", Some(wanted)));
    }

    #[rstest]
    #[case("postgresql://a:b@h:5432/d")]
    #[case("postgresql://h/d?user=a&password=b")]
    #[case("postgresql://h?user=a&password=b&dbname=d&sslmode=disable")]
    fn what_the_connection_string_says_counts(#[case] url: &str) {
        // The file is not opened.
        let given = [("PGUSER", "x"), ("PGPASSWORD_FILE", "/there/is/none"), ("PGDATABASE", "y")];
        assert_eq!(completed(url, &given), Ok(url.to_owned()));
    }

    #[test]
    fn a_file_s_password_ends_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let given = [("PGPASSWORD_FILE", file.to_str().unwrap())];
        assert!(matches!(completed("postgresql://a@h/d", &given), Err(ConfigError::File { .. })));
        std::fs::write(&file, " s \n").unwrap();
        assert_eq!(
            completed("postgresql://a@h/d?x=y", &given),
            Ok("postgresql://a@h/d?x=y&password=%20s%20".to_owned())
        );
        std::fs::write(&file, "\n").unwrap();
        assert!(matches!(completed("postgresql://a@h/d", &given), Err(ConfigError::File { .. })));
    }
}
