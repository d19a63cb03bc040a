//! Reads one variable: as text, number, boolean, list, or secret. This module must not know how a value is used.

use std::io::Read as _;
use std::path::Path;

use super::error::ConfigError;
use super::variables::Variable;

/// The largest file with a secret, in bytes.
pub(super) const SECRET_BYTES: u64 = 64 * 1024;

/// Reads variables; a parameter, because tests must not change the environment.
pub(crate) type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable of this process. Invalid text is converted lossily, and then refused.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The value of a variable, if it is set and not blank.
pub(super) fn non_blank(variable: &Variable, read: Read<'_>) -> Option<String> {
    read(variable.name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The value, or the default.
pub(super) fn value(variable: &Variable, read: Read<'_>) -> String {
    non_blank(variable, read).unwrap_or_else(|| variable.default.value().to_owned())
}

pub(super) fn invalid(variable: &Variable, read: Read<'_>) -> ConfigError {
    ConfigError::Invalid { name: variable.name, value: value(variable, read), takes: variable.takes }
}

pub(super) fn boolean(variable: &Variable, read: Read<'_>) -> Result<bool, ConfigError> {
    match value(variable, read).to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(invalid(variable, read)),
    }
}

pub(super) fn number<T>(variable: &Variable, read: Read<'_>, min: T, max: T) -> Result<T, ConfigError>
where
    T: std::str::FromStr + PartialOrd + Copy,
{
    match value(variable, read).parse::<T>() {
        Ok(number) if number >= min && number <= max => Ok(number),
        _ => Err(invalid(variable, read)),
    }
}

pub(super) fn list(variable: &Variable, read: Read<'_>) -> Vec<String> {
    value(variable, read)
        .split(',')
        .map(|item| item.trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

/// A secret, from its variable or from the file in `…_FILE`, with the name of the variable that was used.
pub(super) fn secret(variable: &Variable, read: Read<'_>) -> Result<Option<(String, String)>, ConfigError> {
    let direct = non_blank(variable, read);
    match (direct, secret_file(variable, read)) {
        (Some(_), Some(_)) => Err(ConfigError::SetTwice { name: variable.name }),
        (direct, None) => Ok(direct.map(|value| (variable.name.to_owned(), value))),
        (None, Some((name, path))) => {
            let takes = "the path of a file with the value in it";
            let text = text_file(&name, Path::new(&path), takes, SECRET_BYTES)?;
            let text = text.trim().to_owned();
            if text.is_empty() {
                let reason = "it is empty".to_owned();
                return Err(ConfigError::File { name, path, reason, takes });
            }
            Ok(Some((name, text)))
        }
    }
}

/// The variable with the suffix `_FILE`, and the path in it, if it is set.
pub(super) fn secret_file(variable: &Variable, read: Read<'_>) -> Option<(String, String)> {
    let name = variable.file_variable()?;
    let path = read(&name)?.trim().to_owned();
    (!path.is_empty()).then_some((name, path))
}

/// Reads the text of a file within a bound of its bytes.
pub(super) fn text_file(
    name: &str,
    path: &Path,
    takes: &'static str,
    max_bytes: u64,
) -> Result<String, ConfigError> {
    let failed = |reason: String| {
        let path = path.display().to_string();
        ConfigError::File { name: name.to_owned(), path, reason, takes }
    };
    let mut text = String::new();
    // Opening a pipe would wait forever.
    match std::fs::metadata(path) {
        Err(error) => return Err(failed(error.to_string())),
        Ok(metadata) if !metadata.is_file() => return Err(failed("it is not a file".to_owned())),
        Ok(_) => {}
    }
    let opened = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let length = opened
        .take(max_bytes.saturating_add(1))
        .read_to_string(&mut text)
        .map_err(|error| failed(error.to_string()))?;
    if u64::try_from(length).is_ok_and(|length| length > max_bytes) {
        return Err(failed(format!("it has more than {max_bytes} bytes")));
    }
    Ok(text)
}

/// The kind of an invalid URL, without any part that may be secret.
pub(super) fn url_kind(url: &str) -> &'static str {
    const KNOWN: [(&str, &str); 9] = [
        ("postgres", "`postgres://…`"),
        ("postgresql", "`postgresql://…`"),
        ("redis", "`redis://…`"),
        ("rediss", "`rediss://…`"),
        ("http", "`http://…`"),
        ("https", "`https://…`"),
        ("mysql", "`mysql://…`"),
        ("tcp", "`tcp://…`"),
        ("unix", "`unix://…`"),
    ];
    let Some((scheme, _)) = url.split_once("://") else { return "a text without `://`" };
    let known = KNOWN.iter().find(|(word, _)| *word == scheme);
    known.map_or("a URL of another kind", |(_, shown)| shown)
}
