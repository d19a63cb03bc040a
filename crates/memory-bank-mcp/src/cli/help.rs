//! The help of each command: its own options, and of the options that commands share those that it uses. The others are
//! accepted and not shown.

use std::ffi::OsString;

use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::hook::HookArguments;
use super::{Cli, GlobalOptions};

/// The options that locate a bank.
const PLACE: [&str; 4] = ["path", "folder", "follow_links", "state_dir"];
/// The options of an agent's entry.
const ENTRY: [&str; 10] = [
    "path",
    "folder",
    "follow_links",
    "state_dir",
    "mode",
    "username",
    "tools",
    "read_only",
    "debug",
    "json",
];
/// The options of commands on the database.
const DATABASE: [&str; 1] = ["json"];

/// The shared options that a command uses, by their ids.
fn used_by(command: &str) -> Option<Vec<&'static str>> {
    let place = |others: &[&'static str]| Some([&PLACE, others].concat());
    match command {
        "serve" => place(&["mode", "username", "tools", "read_only", "debug"]),
        "list" | "show" | "search" | "digest" | "log" | "history" | "diff" | "blame" | "graph" | "status" => {
            place(&["json"])
        }
        "open" => place(&["username", "read_only", "debug"]),
        "init" => place(&["read_only", "json"]),
        "add-decision" | "undo" | "maintain" => place(&["username", "read_only", "json"]),
        "hook" => place(&["username", "read_only", "debug"]),
        "config" | "bench" => Some(vec!["json"]),
        "health" | "completions" | "man" | "help" => Some(Vec::new()),
        "setup" | "client-config" => Some(ENTRY.to_vec()),
        "doctor" => place(&["username", "json"]),
        "index" => place(&["read_only", "json"]),
        "import" => place(&["username", "read_only", "json"]),
        "export" => Some(vec!["folder", "state_dir", "read_only", "json"]),
        "restore" => Some(vec!["read_only", "json"]),
        "backup" | "migrate" | "bootstrap" | "users" | "projects" | "members" | "keys" | "audit"
        | "grants" | "identities" | "login-code" | "oauth-clients" => Some(DATABASE.to_vec()),
        _ => None,
    }
}

/// The command line, with the help of each command.
pub(crate) fn command() -> Command {
    let mut root = Cli::command();
    let shared: Vec<Arg> = root.get_arguments().filter(|option| option.is_global_set()).cloned().collect();
    let commands: Vec<String> =
        root.get_subcommands().map(|subcommand| subcommand.get_name().to_owned()).collect();
    for name in commands {
        let Some(used) = used_by(&name) else { continue };
        // An option of the command itself comes before the one that it would inherit.
        let own = shared.iter().map(|option| {
            let is_used = used.contains(&option.get_id().as_str());
            option.clone().hide(!is_used).help_heading(None::<&str>)
        });
        root = root.mut_subcommand(&name, |command| command.args(own));
    }
    root
}

/// The command line of a hook. The options of all commands take a tenth of a hook's time to build.
#[derive(Parser)]
#[command(name = "memory-bank-mcp")]
struct HookLine {
    #[command(subcommand)]
    command: OnlyHook,
    #[command(flatten)]
    global: GlobalOptions,
}

#[derive(Subcommand)]
enum OnlyHook {
    Hook(HookArguments),
}

impl HookLine {
    /// The line, if it is one of a hook and has no fault and no question for help.
    fn of(arguments: impl Iterator<Item = OsString> + Clone) -> Option<Cli> {
        let is_hook = arguments.clone().nth(1).is_some_and(|command| command == "hook");
        let Self { command: OnlyHook::Hook(hook), global } =
            if is_hook { Self::try_parse_from(arguments).ok()? } else { return None };
        Some(Cli { command: Some(super::Command::Hook(hook)), global })
    }
}

/// Parses the command line of this process. The error has the help or the message to print, and the exit code.
pub(crate) fn try_parse() -> Result<Cli, clap::Error> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(cli) = HookLine::of(arguments.iter().cloned()) {
        return Ok(cli);
    }
    let matches = command().try_get_matches()?;
    Cli::from_arg_matches(&matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The long options in the help of a command, by its words.
    fn options_of(words: &[&str]) -> Vec<String> {
        let mut root = command();
        root.build();
        let mut command = &mut root;
        for word in words {
            command = command.find_subcommand_mut(word).unwrap();
        }
        let help = command.render_long_help().to_string();
        let is_option = |line: &&str| line.trim_start().starts_with('-') && line.starts_with(' ');
        let options = help.lines().filter(is_option).filter_map(|line| line.split("--").nth(1));
        let ends = |character: char| !character.is_ascii_alphanumeric() && character != '-';
        options.map(|option| option.split(ends).next().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_line_of_a_hook_means_the_same_as_among_all_commands() {
        for words in [
            &["m", "hook", "Stop"][..],
            &["m", "hook", "SessionStart", "--agent", "codex", "--no-records", "-p", "/a", "--folder", "b"],
            &["m", "hook", "Stop", "--url", "https://example.com/mcp", "--key-file", "k", "--mode", "ask"],
        ] {
            let short = HookLine::of(words.iter().map(OsString::from)).unwrap();
            let whole = Cli::from_arg_matches(&command().try_get_matches_from(words).unwrap()).unwrap();
            assert_eq!(format!("{short:?}"), format!("{whole:?}"));
        }
        for words in
            [&["m", "hook"][..], &["m", "hook", "--help"], &["m", "hook", "Stop", "--nope"], &["m", "list"]]
        {
            assert!(HookLine::of(words.iter().map(OsString::from)).is_none(), "{words:?}");
        }
    }

    #[test]
    fn every_command_names_the_shared_options_that_it_uses() {
        let known: Vec<String> =
            Cli::command().get_arguments().map(|option| option.get_id().to_string()).collect();
        for sub in command().get_subcommands() {
            let used = used_by(sub.get_name()).unwrap_or_else(|| panic!("`{}` has no row", sub.get_name()));
            assert!(used.iter().all(|id| known.iter().any(|known| known == id)), "{}", sub.get_name());
        }
    }

    #[test]
    fn help_shows_the_options_of_the_command_only() {
        assert_eq!(options_of(&["health"]), ["live", "help"]);
        assert_eq!(options_of(&["completions"]), ["help"]);
        assert_eq!(options_of(&["keys", "revoke"]), ["json", "help"]);
        assert_eq!(options_of(&["users", "create"]), ["email", "json", "help"]);
        let list = [
            "names",
            "url",
            "key-file",
            "no-pager",
            "path",
            "folder",
            "follow-links",
            "state-dir",
            "json",
            "help",
        ];
        assert_eq!(options_of(&["list"]), list);
        assert!(options_of(&["graph", "open"]).contains(&"depth".to_owned()));
        assert!(!options_of(&["graph", "open"]).contains(&"transport".to_owned()));
        assert!(options_of(&["setup"]).contains(&"mode".to_owned()));
        assert!(options_of(&[]).contains(&"transport".to_owned()));
    }

    #[test]
    fn an_option_counts_before_and_behind_the_command_also_if_it_is_not_shown() {
        for words in [
            &["m", "--mode", "ask", "keys", "revoke", "00000000-0000-4000-8000-000000000000"][..],
            &["m", "keys", "--mode", "ask", "revoke", "00000000-0000-4000-8000-000000000000"],
            &["m", "keys", "revoke", "00000000-0000-4000-8000-000000000000", "--mode", "ask"],
        ] {
            let matches = command().try_get_matches_from(words).unwrap();
            let cli = Cli::from_arg_matches(&matches).unwrap();
            assert_eq!(cli.global.mode.as_str(), "ask", "{words:?}");
            assert_eq!(cli.global.folder, "memory-bank");
        }
    }
}
