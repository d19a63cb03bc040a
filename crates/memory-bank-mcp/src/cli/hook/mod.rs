//! `hook`: answers an event of an agent's session: with the digest at its start, with the passages that match a prompt, with a
//! reminder at its end; and records the session. No model is called.
//!
//! An agent waits for its hooks, and takes an exit code of 2 for a refusal. So nothing here may wait for long or fail: after
//! [`DEFAULT_TIMEOUT_MS`] the process ends without an answer, and every failure is a line on standard error and exit code 0.

mod agent;
mod answer;
mod bank;
mod error_log;
mod event_text;
mod events;
mod graph_texts;
mod pending_records;
mod recording;
mod session;
mod settings;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::{Args, CommandFactory};
use serde_json::Value;

use self::agent::{Agent, HookInput};
use self::error_log::log_error;
use self::events::Hook;
use crate::cli::options::GlobalOptions;
use crate::cli::{Cli, server_address};
use crate::config::command_variables::HOOK_TIMEOUT_MS;

/// How long an agent waits at most, in milliseconds; [`HOOK_TIMEOUT_MS`] sets another bound.
const DEFAULT_TIMEOUT_MS: u64 = 300;
/// The limits of that bound.
const TIMEOUT_RANGE_MS: std::ops::RangeInclusive<u64> = 50..=10_000;
/// The most bytes of an event. A prompt may hold a pasted file, a result of a tool a whole one.
const EVENT_BYTES: u64 = 32 * 1024 * 1024;

/// Arguments of `hook`.
#[derive(Debug, Clone, Args)]
pub(crate) struct HookArguments {
    /// The event, as the agent calls it: SessionStart, UserPromptSubmit, PostToolUse, PreCompact, Stop, SessionEnd, …
    event: String,
    /// The agent: claude-code, codex, gemini-cli, cursor, copilot-cli, opencode. By default the event shows it.
    #[arg(long)]
    agent: Option<String>,
    /// Use the bank of a server, with the key in `MEMORY_BANK_API_KEY`, in place of a folder's.
    #[arg(long, value_name = "URL", value_parser = server_address::parse)]
    url: Option<String>,
    /// The file with the key of that server, in place of the variable.
    #[arg(long, value_name = "FILE", requires = "url")]
    key_file: Option<PathBuf>,
    /// The variable with the key of that server, in place of `MEMORY_BANK_API_KEY`.
    #[arg(long, value_name = "NAME", requires = "url", conflicts_with = "key_file")]
    key_variable: Option<String>,
    /// Do not record the session in the bank.
    #[arg(long)]
    no_records: bool,
}

/// Reads the event from standard input and prints the answer. Always succeeds.
pub(crate) fn run(arguments: &HookArguments, global: &GlobalOptions) -> ExitCode {
    let deadline = deadline(std::env::var(HOOK_TIMEOUT_MS).ok().as_deref());
    let until = Instant::now() + deadline;
    use_small_pages();
    let (sender, receiver) = mpsc::channel();
    let (arguments, global) = (arguments.clone(), global.clone());
    // The thread may wait for the agent, a disk or a server for ever; the process does not wait for it.
    let started = std::thread::Builder::new().name("hook".to_owned()).spawn(move || {
        let _ = sender.send(answer(&arguments, &global, deadline));
    });
    let outcome = match started {
        Ok(_) => {
            receiver.recv_timeout(until.saturating_duration_since(Instant::now())).map_err(
                |error| match error {
                    mpsc::RecvTimeoutError::Timeout => {
                        format!("no answer within {} ms", deadline.as_millis())
                    }
                    mpsc::RecvTimeoutError::Disconnected => "the hook ended early".to_owned(),
                },
            )
        }
        Err(error) => Err(error.to_string()),
    };
    match outcome.and_then(|answer| answer) {
        Ok(None) => {}
        Ok(Some(answer)) => {
            let mut out = std::io::stdout().lock();
            // If standard output is closed, nothing is left to do.
            let _ = writeln!(out, "{answer}").and_then(|()| out.flush());
        }
        Err(why) => log_error(&why),
    }
    ExitCode::SUCCESS
}

/// Turns off pages of 2 MiB: a hook touches a little of each, and the system would clear all of it first, at times for longer than
/// the rest of the hook takes.
#[cfg(target_os = "linux")]
fn use_small_pages() {
    // If the system refuses, the hook is only slower at times.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

#[cfg(not(target_os = "linux"))]
fn use_small_pages() {}

/// Reports wrong arguments of `hook` without the exit code of other commands, which an agent takes for a refusal. `None` if the
/// arguments are of another command, or ask for help.
pub(crate) fn refused(error: &clap::Error) -> Option<ExitCode> {
    (error.use_stderr() && is_hook(std::env::args_os())).then(|| {
        log_error(error.to_string().lines().next().unwrap_or_default());
        ExitCode::SUCCESS
    })
}

/// Whether a command line is one of `hook`, though it has errors.
fn is_hook(words: impl IntoIterator<Item = OsString>) -> bool {
    let words: Vec<OsString> = words.into_iter().collect();
    let command = Cli::command();
    // An unknown option in front of the command ends the parsing: then the first word that is a command counts.
    let first =
        words.iter().skip(1).find(|word| command.get_subcommands().any(|known| **word == known.get_name()));
    let is_first = first.is_some_and(|word| word == "hook");
    let parsed = command.ignore_errors(true).try_get_matches_from(&words);
    match parsed.ok().as_ref().and_then(clap::ArgMatches::subcommand_name) {
        Some(name) => name == "hook",
        None => is_first,
    }
}

/// The bound that is set; the default if none or a wrong one is.
fn deadline(set: Option<&str>) -> Duration {
    let set =
        set.and_then(|text| text.trim().parse::<u64>().ok()).filter(|wait| TIMEOUT_RANGE_MS.contains(wait));
    Duration::from_millis(set.unwrap_or(DEFAULT_TIMEOUT_MS))
}

fn answer(
    arguments: &HookArguments,
    global: &GlobalOptions,
    deadline: Duration,
) -> Result<Option<Value>, String> {
    let agent = match &arguments.agent {
        None => None,
        Some(name) => Some(Agent::parse(name).ok_or_else(|| {
            let known: Vec<&str> = Agent::ALL.iter().map(|agent| agent.name()).collect();
            format!("`--agent` is none of {}", known.join(", "))
        })?),
    };
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(EVENT_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("the event cannot be read: {error}"))?;
    if bytes.len() as u64 > EVENT_BYTES {
        return Err(format!("the event has more than {EVENT_BYTES} bytes"));
    }
    let input = HookInput::parse(&arguments.event, agent, &bytes)?;
    drop(bytes);
    // One thread is enough for one event, and starts faster.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let hook = Hook {
        input,
        global,
        url: arguments.url.as_deref(),
        key_file: arguments.key_file.as_deref(),
        key_variable: arguments.key_variable.as_deref(),
        no_records: arguments.no_records,
        deadline,
    };
    let answered = runtime.block_on(hook.run());
    runtime.shutdown_background();
    answered.map_err(|error| format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_command_line_of_hook_is_one() {
        let check = |line: &str| is_hook(line.split(' ').map(OsString::from));
        for line in [
            "x hook Stop --nope",
            "x hook",
            "x --path /p hook Stop --agent",
            "x hook Stop extra words",
            "x --nope hook Stop",
            "x --nope value --path /p hook Stop",
            "x --path search hook Stop",
        ] {
            assert!(check(line), "{line}");
        }
        for line in ["x search hook --nope", "x --nope", "x", "x show hook --nope", "x search --nope hook"] {
            assert!(!check(line), "{line}");
        }
    }

    #[test]
    fn a_wrong_bound_means_the_default() {
        let wait = |text| deadline(text).as_millis();
        assert_eq!((wait(None), wait(Some("1000")), wait(Some(" 80 "))), (300, 1000, 80));
        for wrong in ["", "0", "-1", "99999999", "soon"] {
            assert_eq!(wait(Some(wrong)), 300, "{wrong}");
        }
    }
}
