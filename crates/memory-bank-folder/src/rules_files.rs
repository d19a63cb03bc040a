//! The rules files of the modes in a project: finding, reading and creating them. The core has their content.

use std::path::Path;

use memory_bank_core::error::StoreError;
use memory_bank_core::limits;
use memory_bank_core::mode::{Mode, RULES_PREFIXES, parse_rules, rules_template};
use memory_bank_core::store::ModeRules;

use crate::dir::{BankDir, FileRead, reason, text_of};

/// The rules of a mode.
///
/// # Errors
/// The disk failed.
pub(crate) fn read_rules(project: &Path, mode: Mode) -> Result<ModeRules, StoreError> {
    let Ok(dir) = BankDir::open(project) else { return Ok(ModeRules::Absent) };
    for prefix in RULES_PREFIXES {
        let name = format!("{prefix}{mode}");
        match dir.read_up_to(&name, limits::RULES_BYTES)? {
            FileRead::Missing => {}
            FileRead::Unreadable(why) => return Ok(ModeRules::Invalid(format!("{name}: {why}"))),
            FileRead::Found(bytes, _) => {
                return Ok(match parse_rules(mode, &text_of(bytes)) {
                    ModeRules::Invalid(why) => ModeRules::Invalid(format!("{name}: {why}")),
                    rules => rules,
                });
            }
        }
    }
    Ok(ModeRules::Absent)
}

/// Gives a project the rules files that it lacks: their names, and what failed. A failure is a warning: the bank works
/// without.
pub(crate) fn write_missing_rules(project: &Path) -> (Vec<String>, Vec<String>) {
    let (mut made, mut warnings) = (Vec::new(), Vec::new());
    let dir = match BankDir::open(project) {
        Ok(dir) => dir,
        Err(error) => {
            warnings.push(format!("the rules files could not be written: {}", reason(&error)));
            return (made, warnings);
        }
    };
    for mode in Mode::ALL {
        if RULES_PREFIXES.iter().any(|prefix| dir.exists(&format!("{prefix}{mode}"))) {
            continue;
        }
        let name = format!(".mcprules-{mode}");
        match dir.write_new(&name, &mut rules_template(mode).as_bytes()) {
            Ok(()) => made.push(name),
            Err(error) => warnings.push(format!("{name} could not be written: {}", reason(&error))),
        }
    }
    (made, warnings)
}
