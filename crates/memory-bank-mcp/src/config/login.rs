//! libpq's variables: user, password and database, if the connection string lacks them. With them, a password of any
//! characters needs no escaping. This module must not know the provider.

use std::path::Path;

use memory_bank_postgres::ConnectionString;

use super::error::ConfigError;
use super::read::{Read, SECRET_BYTES, non_blank, secret_file, text_file};
use super::variables::{LOGIN_DATABASE, LOGIN_PASSWORD, LOGIN_USER, Variable};

/// Describes the file, for the error about one that cannot be read: the Compose stack names a file that only its step `migrate`
/// creates.
const PASSWORD_FILE: &str = "the path of a file with the password in it. A password in `DATABASE_URL` takes precedence; for a database without a password, set the variable empty; the step `migrate` of docker-compose.yml creates its file, with `--profile local-db`";

/// Adds the parameters that the connection string lacks.
///
/// # Errors
/// The file with the password is needed and cannot be read, or the password is given twice.
pub(super) fn complete(url: String, read: Read<'_>) -> Result<String, ConfigError> {
    // An invalid string is reported where it is used.
    let Ok(string) = ConnectionString::parse(&url) else { return Ok(url) };
    let mut added = Vec::new();
    if string.get("user").is_none()
        && let Some(user) = non_blank(&LOGIN_USER, read)
    {
        added.push(("user", user));
    }
    if string.get("password").is_none()
        && let Some(password) = password(&LOGIN_PASSWORD, read)?
    {
        added.push(("password", password));
    }
    if string.get("dbname").is_none()
        && let Some(database) = non_blank(&LOGIN_DATABASE, read)
    {
        added.push(("dbname", database));
    }
    Ok(if added.is_empty() { url } else { ConnectionString::extended(&url, &added) })
}

/// A password as it was given: white space is significant, except for the line end of a file.
fn password(variable: &Variable, read: Read<'_>) -> Result<Option<String>, ConfigError> {
    let direct = read(variable.name).filter(|value| !value.is_empty());
    match (direct, secret_file(variable, read)) {
        (Some(_), Some(_)) => Err(ConfigError::SetTwice { name: variable.name }),
        (direct, None) => Ok(direct),
        (None, Some((name, path))) => {
            let takes = PASSWORD_FILE;
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
    fn a_password_may_contain_any_character(#[case] password: &str) {
        let url = completed(
            "postgresql://postgres:5432",
            &[("PGUSER", "m/b"), ("PGPASSWORD", password), ("PGDATABASE", "d b")],
        )
        .unwrap();
        assert!(url.starts_with("postgresql://postgres:5432?user=m%2Fb&password="), "{url}");
        assert!(url.ends_with("&dbname=d%20b"), "{url}");
        let login = ServerLogin::of(&url).unwrap();
        assert_eq!((login.role.as_str(), login.password.as_deref()), ("m/b", Some(password)));
    }

    #[test]
    fn pairs_and_odd_passwords_are_completed_too() {
        let given = [("PGUSER", "u"), ("PGPASSWORD", "p 'w\\"), ("PGDATABASE", "d")];
        for url in ["host=h port=5433", "postgresql://h:5433"] {
            let login = ServerLogin::of(&completed(url, &given).unwrap()).unwrap();
            assert_eq!((login.role.as_str(), login.password.as_deref()), ("u", Some("p 'w\\")), "{url}");
        }
        let url = "postgresql://a:b?c#d@h/d";
        assert_eq!(completed(url, &given), Ok(url.to_owned()));
        let login = ServerLogin::of(&completed("postgresql://a:b?c@h", &given).unwrap()).unwrap();
        assert_eq!((login.role.as_str(), login.password.as_deref()), ("a", Some("b?c")));
    }

    #[rstest]
    #[case("postgresql://a:b@h:5432/d")]
    #[case("postgresql://h/d?user=a&password=b")]
    #[case("postgresql://h?user=a&password=b&dbname=d&sslmode=disable")]
    fn the_connection_string_takes_precedence(#[case] url: &str) {
        // The file is not opened.
        let given = [("PGUSER", "x"), ("PGPASSWORD_FILE", "/there/is/none"), ("PGDATABASE", "y")];
        assert_eq!(completed(url, &given), Ok(url.to_owned()));
    }

    #[test]
    fn a_database_without_a_password_is_reached_with_the_variable_empty() {
        let url = "postgresql://a@h/d";
        assert_eq!(completed(url, &[("PGPASSWORD_FILE", ""), ("PGPASSWORD", "")]), Ok(url.to_owned()));
    }

    #[test]
    fn a_file_s_password_ends_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let given = [("PGPASSWORD_FILE", file.to_str().unwrap())];
        let missing = completed("postgresql://a@h/d", &given).unwrap_err().to_string();
        assert!(missing.starts_with("`PGPASSWORD_FILE` is `"), "{missing}");
        for remedy in ["`DATABASE_URL`", "the variable empty", "`--profile local-db`"] {
            assert!(missing.contains(remedy), "{missing}");
        }
        std::fs::write(&file, " s \n").unwrap();
        assert_eq!(
            completed("postgresql://a@h/d?x=y", &given),
            Ok("postgresql://a@h/d?x=y&password=%20s%20".to_owned())
        );
        std::fs::write(&file, "\n").unwrap();
        assert!(matches!(completed("postgresql://a@h/d", &given), Err(ConfigError::File { .. })));
    }
}
