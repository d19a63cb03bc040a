//! Reads one variable: as text, number, truth value, list, or secret. This module must not know what a variable is for.

use std::io::Read as _;
use std::path::Path;

use super::error::ConfigError;
use super::variables::Variable;

/// The largest file with a secret, in bytes.
pub(super) const SECRET_BYTES: u64 = 64 * 1024;

/// Reads variables; a parameter, so that tests do not change the environment.
pub(crate) type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable of this process. Invalid text is converted lossily, and then refused.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// A variable that is set and not blank.
pub(super) fn set(variable: &Variable, read: Read<'_>) -> Option<String> {
    read(variable.name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

pub(super) fn value(variable: &Variable, read: Read<'_>) -> String {
    set(variable, read).unwrap_or_else(|| variable.default.value().to_owned())
}

pub(super) fn wrong(variable: &Variable, read: Read<'_>) -> ConfigError {
    ConfigError::Wrong { name: variable.name, got: value(variable, read), takes: variable.takes }
}

pub(super) fn truth(variable: &Variable, read: Read<'_>) -> Result<bool, ConfigError> {
    match value(variable, read).to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(wrong(variable, read)),
    }
}

pub(super) fn number<T>(variable: &Variable, read: Read<'_>, least: T, most: T) -> Result<T, ConfigError>
where
    T: std::str::FromStr + PartialOrd + Copy,
{
    match value(variable, read).parse::<T>() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(wrong(variable, read)),
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
    let direct = set(variable, read);
    let file = variable.file_variable().and_then(|name| {
        let path = read(&name)?.trim().to_owned();
        (!path.is_empty()).then_some((name, path))
    });
    match (direct, file) {
        (Some(_), Some(_)) => Err(ConfigError::Twice { name: variable.name }),
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

pub(super) fn text_file(
    name: &str,
    path: &Path,
    takes: &'static str,
    most: u64,
) -> Result<String, ConfigError> {
    let failed = |reason: String| {
        let path = path.display().to_string();
        ConfigError::File { name: name.to_owned(), path, reason, takes }
    };
    let mut text = String::new();
    // Opening a pipe would wait forever.
    match std::fs::metadata(path) {
        Err(error) => return Err(failed(error.to_string())),
        Ok(metadata) if !metadata.is_file() => return Err(failed("it is no file".to_owned())),
        Ok(_) => {}
    }
    let opened = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let length = opened
        .take(most.saturating_add(1))
        .read_to_string(&mut text)
        .map_err(|error| failed(error.to_string()))?;
    if u64::try_from(length).is_ok_and(|length| length > most) {
        return Err(failed(format!("it has more than {most} bytes")));
    }
    Ok(text)
}

/// The form of an invalid URL, without anything that may be secret.
pub(super) fn shape(url: &str) -> &'static str {
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
