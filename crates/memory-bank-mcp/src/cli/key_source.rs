//! Reads an API key from a file, standard input, a variable or a prompt; never from the command line, which the list of
//! processes shows.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use memory_bank_core::identity::PlainKey;

/// The most bytes that are read. A key has 43 characters.
const INPUT_BYTES: u64 = 1024;

/// The key on standard input.
pub(crate) fn from_stdin() -> anyhow::Result<PlainKey> {
    from_text(std::io::stdin().lock(), "standard input")
}

/// The key in a file; `-` is standard input.
pub(crate) fn from_file(file: &Path) -> anyhow::Result<PlainKey> {
    if file == Path::new("-") {
        return from_stdin();
    }
    let name = format!("`{}`", file.display());
    let opened = std::fs::File::open(file).with_context(|| format!("{name} cannot be read"))?;
    from_text(opened, &name)
}

/// The key in a regular file, for commands that nobody watches: they must not wait for a pipe.
pub(crate) fn from_private_file(file: &Path) -> anyhow::Result<PlainKey> {
    let is_regular = std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file());
    anyhow::ensure!(is_regular, "`{}` is not a file with a key", file.display());
    from_file(file)
}

/// The key in a variable, if it is set.
pub(crate) fn from_variable(name: &str) -> anyhow::Result<Option<PlainKey>> {
    match std::env::var(name) {
        Ok(value) if !value.trim().is_empty() => from_text(value.as_bytes(), &format!("`{name}`")).map(Some),
        _ => Ok(None),
    }
}

/// The key that the user types, without echo; `None` if the input is empty.
pub(crate) fn from_prompt(question: &str) -> anyhow::Result<Option<PlainKey>> {
    let _saved = echo::save();
    let typed = rpassword::prompt_password(question).context("the key cannot be read from the terminal")?;
    if typed.trim().is_empty() {
        return Ok(None);
    }
    from_text(typed.as_bytes(), "the input").map(Some)
}

/// Turns the echo of the terminal on again, if a signal ends the process during a prompt for a key.
pub(crate) fn restore_terminal() {
    echo::restore();
}

#[cfg(unix)]
mod echo {
    use parking_lot::Mutex;
    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

    /// The settings of the terminal before the prompt turned the echo off.
    static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

    /// Clears the saved settings at the end of the prompt.
    pub(super) struct SavedSettings;

    impl Drop for SavedSettings {
        fn drop(&mut self) {
            *SAVED.lock() = None;
        }
    }

    pub(super) fn save() -> SavedSettings {
        *SAVED.lock() = tcgetattr(std::io::stdin()).ok();
        SavedSettings
    }

    pub(super) fn restore() {
        if let Some(settings) = SAVED.lock().as_ref()
            && let Err(error) = tcsetattr(std::io::stdin(), OptionalActions::Now, settings)
        {
            tracing::warn!("the terminal does not show typed text; run `stty echo`: {error}");
        }
    }
}

/// On Windows, the console restores its settings at the end of the program.
#[cfg(not(unix))]
mod echo {
    pub(super) fn save() {}
    pub(super) fn restore() {}
}

fn from_text(input: impl Read, source: &str) -> anyhow::Result<PlainKey> {
    let mut line = String::new();
    input.take(INPUT_BYTES).read_to_string(&mut line).with_context(|| format!("{source} is not text"))?;
    // The line may be another secret, so the error does not repeat it.
    line.trim().parse().with_context(|| {
        format!(
            "{source} does not contain an API key; a key begins with `mbmcp_live_` or `mbmcp_test_` and has 43 characters"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "mbmcp_live_0123456789abcdefghijABCDEFGHIJxy";

    #[test]
    fn a_key_is_read_without_the_line_end() {
        assert_eq!(from_text(format!("{KEY}\r\n").as_bytes(), "it").unwrap().expose(), KEY);
    }

    #[test]
    fn an_invalid_key_is_refused_without_repeating_it() {
        let error = from_text("hunter2-the-password\n".as_bytes(), "it").unwrap_err();
        assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
    }
}
