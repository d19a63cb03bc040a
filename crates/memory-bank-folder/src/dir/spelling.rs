//! The names that folders list. Where one file has several names (another letter case, another composition, a short form),
//! only the listed one is used: under another name it would be another document, and replacing it would rename it.

use std::io;
use std::path::{Component, Path};

use memory_bank_core::unicode::folded;

use crate::dir::BankDir;
use crate::system::NAMES_HAVE_ALIASES;

impl BankDir {
    /// The listed name of what `name` leads to; none if that differs by more than letter case and composition.
    #[must_use]
    pub fn listed(&self, name: &str) -> Option<String> {
        if !NAMES_HAVE_ALIASES {
            return Some(name.to_owned());
        }
        let mut listed = String::new();
        for part in name.split('/') {
            let names = self.names_in(&listed);
            let exact = names.iter().find(|name| *name == part);
            let found = exact.or_else(|| names.iter().find(|name| folded(name) == folded(part)))?;
            if !listed.is_empty() {
                listed.push('/');
            }
            listed.push_str(found);
        }
        Some(listed)
    }

    /// Refuses a name of which a part exists and is listed under another name.
    ///
    /// # Errors
    /// It is; the text names the part.
    pub(crate) fn check_spelling(&self, name: &Path) -> io::Result<()> {
        if !NAMES_HAVE_ALIASES {
            return Ok(());
        }
        let mut above = String::new();
        for part in name.components() {
            let Component::Normal(part) = part else { continue };
            let part = part.to_string_lossy();
            let here = if above.is_empty() { part.to_string() } else { format!("{above}/{part}") };
            if self.is_missing(&here) {
                return Ok(());
            }
            if !self.names_in(&above).iter().any(|listed| *listed == part) {
                return Err(io::Error::other(format!(
                    "`{}` is not the name that its folder lists; use that one",
                    here.escape_debug()
                )));
            }
            above = here;
        }
        Ok(())
    }
}
