//! Where an API key comes from: a file, standard input, a variable or a prompt; never the command line, which the list of
//! processes shows.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use memory_bank_core::identity::PlainKey;

/// A key has 43 characters; a much longer text is not a key.
const MAX_KEY_TEXT: u64 = 1024;

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

/// The key in a variable, if it is set.
pub(crate) fn from_variable(name: &str) -> anyhow::Result<Option<PlainKey>> {
    match std::env::var(name) {
        Ok(value) if !value.trim().is_empty() => from_text(value.as_bytes(), &format!("`{name}`")).map(Some),
        _ => Ok(None),
    }
}

/// The key that is typed, without showing it; none if nothing is typed.
pub(crate) fn from_prompt(question: &str) -> anyhow::Result<Option<PlainKey>> {
    let _echo = echo::remember();
    let typed = rpassword::prompt_password(question).context("the key cannot be read from the terminal")?;
    if typed.trim().is_empty() {
        return Ok(None);
    }
    from_text(typed.as_bytes(), "what was typed").map(Some)
}

/// Shows again what is typed, if a signal ends the process while a key is asked for.
pub(crate) fn restore_terminal() {
    echo::restore();
}

#[cfg(unix)]
mod echo {
    use parking_lot::Mutex;
    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

    /// The terminal as it was before it hid what is typed.
    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    /// Forgets the terminal's state at the end of the question.
    pub(super) struct Remembered;

    impl Drop for Remembered {
        fn drop(&mut self) {
            *BEFORE.lock() = None;
        }
    }

    pub(super) fn remember() -> Remembered {
        *BEFORE.lock() = tcgetattr(std::io::stdin()).ok();
        Remembered
    }

    pub(super) fn restore() {
        if let Some(before) = BEFORE.lock().as_ref()
            && let Err(error) = tcsetattr(std::io::stdin(), OptionalActions::Now, before)
        {
            tracing::warn!("the terminal hides what is typed; run `stty echo`: {error}");
        }
    }
}

/// On Windows the console belongs to the program that asks, and shows everything again after its end.
#[cfg(not(unix))]
mod echo {
    pub(super) fn remember() {}
    pub(super) fn restore() {}
}

fn from_text(input: impl Read, place: &str) -> anyhow::Result<PlainKey> {
    let mut line = String::new();
    input.take(MAX_KEY_TEXT).read_to_string(&mut line).with_context(|| format!("{place} is not text"))?;
    // The line may be another secret, so the error does not repeat it.
    line.trim().parse().with_context(|| {
        format!(
            "{place} holds no API key; one begins with `mbmcp_live_` or `mbmcp_test_` and has 43 characters"
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
    fn what_is_no_key_is_refused_without_repeating_it() {
        let error = from_text("hunter2-the-password\n".as_bytes(), "it").unwrap_err();
        assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
    }
}
