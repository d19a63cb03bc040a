//! The user's settings of hooks: from variables, else from `hooks.json` in the user's state folder, else the defaults.
//! Nothing in a repository can allow more; `.memory-bank-ignore` in one can only forbid.

use std::path::Path;

use serde::Deserialize;

use crate::config::command_variables::{HOOKS, SESSION_PROMPTS, SESSION_RECORDS};

/// Turns session records off for the folder that holds it, and all folders below.
const IGNORE_FILE: &str = ".memory-bank-ignore";
/// How many folders above the session's are checked for it.
const MAX_PARENT_FOLDERS: usize = 64;

/// The permissions of hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HookSettings {
    /// Anything at all.
    pub(super) hooks: bool,
    /// Record sessions.
    pub(super) records: bool,
    /// Record the first line of the first prompt.
    pub(super) prompts: Prompts,
}

/// Where the first line of a session's first prompt is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Prompts {
    /// Nowhere.
    #[default]
    Off,
    /// In banks that only this user reads: in a folder, and not in version control.
    Private,
    /// In every bank, also on a server and in a repository.
    Always,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    hooks: Option<bool>,
    records: Option<bool>,
    prompts: Option<Prompts>,
}

impl HookSettings {
    /// The settings, and their errors. A wrong value forbids.
    pub(super) fn read(
        variable: impl Fn(&str) -> Option<String>,
        file: Option<&[u8]>,
        may_write: bool,
    ) -> (Self, Vec<String>) {
        let mut errors = Vec::new();
        let file = match file.map(serde_json::from_slice::<SettingsFile>) {
            None => SettingsFile::default(),
            Some(Ok(file)) => file,
            Some(Err(error)) => {
                errors.push(format!("`hooks.json` cannot be parsed, and nothing is recorded: {error}"));
                SettingsFile { records: Some(false), ..SettingsFile::default() }
            }
        };
        let mut switch =
            |name: &str, otherwise: Option<bool>| match variable_value(&variable, name).as_deref() {
                None => otherwise.unwrap_or(true),
                Some("on" | "true" | "1") => true,
                Some("off" | "false" | "0") => false,
                Some(_) => {
                    errors.push(format!("`{name}` takes `on` or `off`; it counts as `off`"));
                    false
                }
            };
        let hooks = switch(HOOKS, file.hooks);
        let records = switch(SESSION_RECORDS, file.records) && may_write;
        let prompts = match variable_value(&variable, SESSION_PROMPTS).as_deref() {
            None => file.prompts.unwrap_or_default(),
            Some("off" | "false" | "0") => Prompts::Off,
            Some("private") => Prompts::Private,
            Some("always") => Prompts::Always,
            Some(_) => {
                errors.push(format!(
                    "`{SESSION_PROMPTS}` takes `off`, `private` or `always`; it counts as `off`"
                ));
                Prompts::Off
            }
        };
        (Self { hooks, records, prompts }, errors)
    }
}

fn variable_value(variable: &impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    variable(name).map(|value| value.trim().to_ascii_lowercase()).filter(|value| !value.is_empty())
}

/// Whether the folder, or one above it, holds `.memory-bank-ignore`.
pub(super) fn is_ignored(folder: &Path) -> bool {
    folder
        .ancestors()
        .take(MAX_PARENT_FOLDERS)
        .any(|level| level.join(IGNORE_FILE).symlink_metadata().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)], file: Option<&str>, may_write: bool) -> (HookSettings, usize) {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let (settings, errors) = HookSettings::read(variable, file.map(str::as_bytes), may_write);
        (settings, errors.len())
    }

    #[test]
    fn prompts_are_recorded_only_if_the_user_allows_it() {
        let default = HookSettings { hooks: true, records: true, prompts: Prompts::Off };
        assert_eq!(read(&[], None, true), (default, 0));
        assert_eq!(read(&[(SESSION_PROMPTS, "Private")], None, true).0.prompts, Prompts::Private);
        assert_eq!(read(&[], Some(r#"{"prompts": "always"}"#), true).0.prompts, Prompts::Always);
        assert_eq!(
            read(&[(SESSION_PROMPTS, "off")], Some(r#"{"prompts": "always"}"#), true).0.prompts,
            Prompts::Off
        );
        for wrong in ["yes", "on", "true"] {
            assert_eq!(read(&[(SESSION_PROMPTS, wrong)], None, true), (default, 1), "{wrong}");
        }
    }

    #[test]
    fn a_switch_turns_records_off_and_a_wrong_one_does_too() {
        for (variables, file, wrong) in [
            (&[(SESSION_RECORDS, "off")][..], None, 0),
            (&[(SESSION_RECORDS, "maybe")], None, 1),
            (&[], Some(r#"{"records": false}"#), 0),
            (&[], Some("{"), 1),
            (&[], Some(r#"{"record": false}"#), 1),
        ] {
            let (settings, found) = read(variables, file, true);
            assert!(settings.hooks && !settings.records, "{variables:?} {file:?}");
            assert_eq!(found, wrong, "{variables:?} {file:?}");
        }
        assert!(!read(&[], None, false).0.records, "read-only");
        assert!(!read(&[(HOOKS, "off")], None, true).0.hooks);
        assert!(read(&[(SESSION_RECORDS, "on")], Some(r#"{"records": false}"#), true).0.records);
    }

    #[test]
    fn a_folder_is_ignored_by_a_file_above_it() {
        let temp = tempfile::tempdir().unwrap();
        let inner = temp.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        assert!(!is_ignored(&inner));
        std::fs::write(temp.path().join("a").join(IGNORE_FILE), "").unwrap();
        assert!(is_ignored(&inner) && is_ignored(&temp.path().join("a")) && !is_ignored(temp.path()));
    }
}
