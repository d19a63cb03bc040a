//! The hooks in a file that belong to one server's name: several names may have hooks in one file, and two with the same
//! options have the same hooks. It must not know how a file is edited.

use std::collections::HashSet;
use std::path::Path;

use super::records::{Part, Record, Records};
use crate::cli::clients::key_variable;
use crate::sha256::sha256_hex;

/// The option of a command with the variable of the key, which has the server's name in it.
const KEY_VARIABLE: &str = " --key-variable ";

/// The hooks of one name in a file.
#[derive(Debug)]
pub(super) struct Ownership {
    /// Hashes of the commands that were written under this name.
    own: HashSet<String>,
    /// The other names with hooks in the file, and the hashes of their commands.
    others: Vec<(String, HashSet<String>)>,
    /// The variable with the key of this name's server.
    variable: String,
}

impl Ownership {
    /// The hooks of a name in a file.
    pub(super) fn new(records: &Records, file: &Path, name: &str, project: Option<&str>) -> Self {
        // A file may have taken the place of a link to the recorded one.
        let of_file = |record: &&Record| {
            record.part == Part::Hooks && (record.file == file || record.link.as_deref() == Some(file))
        };
        let hashes = |record: &Record| record.commands.iter().cloned().collect::<HashSet<_>>();
        let is_this = |record: &Record| record.name == name && record.project.as_deref() == project;
        let all = || records.all().iter().filter(of_file);
        Self {
            own: all().filter(|record| is_this(record)).flat_map(hashes).collect(),
            others: all()
                .filter(|record| !is_this(record))
                .map(|record| (record.name.clone(), hashes(record)))
                .collect(),
            variable: key_variable(name),
        }
    }

    /// The commands that belong to this name, also those that were changed since.
    pub(super) fn of(&self, commands: Vec<String>) -> Vec<String> {
        commands.into_iter().filter(|command| self.has(command)).collect()
    }

    fn has(&self, command: &str) -> bool {
        let hash = hash(command);
        self.own.contains(&hash) || !self.is_of_other(&hash) && self.may_be_own(command)
    }

    /// Whether to remove a command with the hooks of this name: it belongs to it, and to no other name.
    pub(super) fn has_alone(&self, command: &str) -> bool {
        self.has(command) && !self.is_of_other(&hash(command))
    }

    fn is_of_other(&self, hash: &str) -> bool {
        self.others.iter().any(|(_, hashes)| hashes.contains(hash))
    }

    /// Whether a command that no record has may be of this name, according to the variable of its key.
    fn may_be_own(&self, command: &str) -> bool {
        let word = command.split_once(KEY_VARIABLE).and_then(|(_, rest)| rest.split_whitespace().next());
        word.is_none_or(|word| word.trim_matches(['\'', '"']) == self.variable)
    }

    /// The other name that has written each of these commands, too.
    pub(super) fn shared_with(&self, commands: &[String]) -> Option<&str> {
        let has_all =
            |hashes: &HashSet<String>| commands.iter().all(|command| hashes.contains(&hash(command)));
        let other = self.others.iter().find(|(_, hashes)| !commands.is_empty() && has_all(hashes))?;
        Some(&other.0)
    }

    /// Whether another name has some of the commands of this one.
    pub(super) fn shares(&self) -> bool {
        self.own.iter().any(|hash| self.is_of_other(hash))
    }
}

/// The hash of a command in a record.
pub(super) fn hash(command: &str) -> String {
    sha256_hex(command.as_bytes())
}
