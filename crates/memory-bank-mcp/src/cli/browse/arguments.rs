//! The arguments of the commands for people.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::screen::View;
use crate::cli::server_address;

/// A command for people.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum BrowseCommand {
    /// Create the memory bank of the project folder, or of the key's project on a server. What is there already stays.
    Init {
        #[command(flatten)]
        options: BankOptions,
    },
    /// List the documents of a memory bank.
    List {
        /// Print the names only, one per line.
        #[arg(long)]
        names: bool,
        #[command(flatten)]
        options: BankOptions,
    },
    /// Show a document, or a part of it.
    Show {
        /// The document's name, such as `progress.md`; `.md` may be left out.
        #[arg(value_name = "DOC")]
        document: String,
        #[command(flatten)]
        part: PartArguments,
        /// Show the document as it was at the end of a day, or at a time.
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
        #[command(flatten)]
        options: BankOptions,
    },
    /// Search the documents; the best hit comes first. The exit code is 1 if nothing is found.
    Search {
        #[command(flatten)]
        search: SearchArguments,
        #[command(flatten)]
        options: BankOptions,
    },
    /// Show the state of the work: tasks, issues, progress, decisions.
    Digest {
        /// The length of the digest in tokens, from 200 to 20000; 1500 when absent.
        #[arg(long, default_value_t = 1500, hide_default_value = true, value_parser = clap::value_parser!(u32).range(200..=20_000))]
        tokens: u32,
        #[command(flatten)]
        facts: FactOptions,
        #[command(flatten)]
        options: BankOptions,
    },
    /// Show what was done, the newest entry first.
    Log {
        /// The largest number of entries; 20 when absent.
        #[arg(short = 'n', long = "entries", value_name = "N", default_value_t = 20, hide_default_value = true,
            value_parser = clap::value_parser!(u32).range(1..=1000))]
        entries: u32,
        /// Show the decisions instead.
        #[arg(long)]
        decisions: bool,
        #[command(flatten)]
        options: BankOptions,
    },
    /// Show the former versions of documents, and changes of the graph, the newest first.
    History {
        #[command(flatten)]
        history: HistoryArguments,
        #[command(flatten)]
        options: BankOptions,
    },
    /// Show what changed in a document, or an entity of the graph, since a version.
    Diff {
        #[command(flatten)]
        diff: DiffArguments,
        #[command(flatten)]
        options: BankOptions,
    },
    /// Show which version wrote each line of a document: who, when, by which tool.
    Blame {
        /// The document's name, such as `progress.md`; `.md` may be left out.
        #[arg(value_name = "DOC")]
        document: String,
        #[command(flatten)]
        options: BankOptions,
    },
    /// Take back what one session, or one user since a time, changed in documents and graph. Without `--yes` it only shows what
    /// would be done.
    Undo {
        #[command(flatten)]
        undo: UndoArguments,
        #[command(flatten)]
        options: BankOptions,
    },
    /// List what can be folded: repeated and ended facts, entities of one name, repeated entries, old session records. It
    /// changes nothing without `--apply`.
    Maintain {
        /// Fold the proposal of this id, as the list shows it; can be repeated.
        #[arg(long = "apply", value_name = "ID")]
        apply: Vec<String>,
        #[command(flatten)]
        options: BankOptions,
    },
    /// Show the knowledge graph.
    #[command(subcommand)]
    Graph(GraphCommand),
    /// Record a decision in the decision log.
    AddDecision {
        #[command(flatten)]
        decision: DecisionArguments,
        #[command(flatten)]
        options: BankOptions,
    },
    /// Show where the memory bank is, and whether it is complete.
    Status {
        #[command(flatten)]
        options: BankOptions,
    },
}

/// A command for the graph.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum GraphCommand {
    /// Find nodes and facts by words. The exit code is 1 if nothing is found.
    Search {
        /// The words; `*` lists all nodes.
        query: String,
        /// The largest number of nodes; 20 when absent.
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20, hide_default_value = true,
            value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        facts: FactOptions,
        #[command(flatten)]
        options: BankOptions,
    },
    /// Show nodes with all their facts and relations.
    Open {
        /// The names or ids of the nodes.
        #[arg(required = true, value_name = "NODE")]
        nodes: Vec<String>,
        /// How far the neighbourhood reaches.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=2))]
        depth: u32,
        #[command(flatten)]
        facts: FactOptions,
        #[command(flatten)]
        options: BankOptions,
    },
}

/// Which facts and decisions are shown.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FactOptions {
    /// Show those that have ended, too.
    #[arg(long)]
    pub(super) include_ended: bool,
    /// Show what was known at a day or time, such as `2026-11-22`.
    #[arg(long, value_name = "TIME")]
    pub(super) as_of: Option<String>,
}

/// Which bank, and how it is shown.
#[derive(Debug, Clone, Args)]
pub(crate) struct BankOptions {
    /// The address of a server, such as `https://memory.example.com/mcp`; `MEMORY_BANK_URL` when absent. Without both,
    /// the memory bank of the project folder is shown.
    #[arg(long, value_name = "URL", value_parser = server_address::parse)]
    pub(super) url: Option<String>,
    /// The file with the API key of the server, or `-` for standard input; the variable `MEMORY_BANK_API_KEY` when absent.
    #[arg(long, value_name = "FILE")]
    pub(super) key_file: Option<PathBuf>,
    /// Do not page long output on a terminal.
    #[arg(long)]
    pub(super) no_pager: bool,
}

impl BankOptions {
    pub(super) fn view(&self) -> View {
        View::of_this_process(!self.no_pager)
    }
}

impl FactOptions {
    /// The arguments of a tool, with those that select facts.
    pub(super) fn add_to(&self, mut arguments: Value) -> Value {
        if let Some(arguments) = arguments.as_object_mut() {
            if self.include_ended {
                arguments.insert("includeEnded".to_owned(), json!(true));
            }
            arguments.extend(self.as_of.as_ref().map(|as_of| ("asOf".to_owned(), json!(as_of))));
        }
        arguments
    }
}

/// A line that counts the ended entries that were left out, if there are any.
pub(super) fn ended_note(data: &Value, one: &str, many: &str) -> Option<String> {
    let ended = data.pointer("/ended/leftOut").and_then(Value::as_u64).unwrap_or_default();
    let counted = match ended {
        0 => return None,
        1 => format!("1 {one}"),
        _ => format!("{ended} {many}"),
    };
    Some(format!("{counted} ended; `--include-ended` shows them"))
}

impl BrowseCommand {
    /// Whether it shows what changed since the user was last here.
    pub(super) fn shows_news(&self) -> bool {
        matches!(self, Self::Digest { .. })
    }

    /// The word of the command, if it changes a bank.
    pub(super) fn changes(&self) -> Option<&'static str> {
        match self {
            Self::Init { .. } => Some("init"),
            Self::AddDecision { .. } => Some("add-decision"),
            Self::Undo { undo, .. } if undo.writes() => Some("undo"),
            Self::Maintain { apply, .. } if !apply.is_empty() => Some("maintain"),
            _ => None,
        }
    }

    pub(super) fn options(&self) -> &BankOptions {
        match self {
            Self::List { options, .. }
            | Self::Show { options, .. }
            | Self::Search { options, .. }
            | Self::Digest { options, .. }
            | Self::Log { options, .. }
            | Self::History { options, .. }
            | Self::Diff { options, .. }
            | Self::Blame { options, .. }
            | Self::Undo { options, .. }
            | Self::Maintain { options, .. }
            | Self::Graph(GraphCommand::Search { options, .. } | GraphCommand::Open { options, .. })
            | Self::AddDecision { options, .. }
            | Self::Init { options }
            | Self::Status { options } => options,
        }
    }
}

/// Which versions are listed.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct HistoryArguments {
    /// The document; all documents and the graph when absent.
    #[arg(value_name = "DOC")]
    pub(super) document: Option<String>,
    /// The name is that of an entity of the graph.
    #[arg(long, requires = "document")]
    pub(super) entity: bool,
    /// Show the text of this version instead.
    #[arg(long, value_name = "VERSION", requires = "document")]
    pub(super) show: Option<u32>,
    /// The document with this id, of those that had the name; a list shows the ids of former ones.
    #[arg(long, value_name = "ID", requires = "show", conflicts_with = "entity")]
    pub(super) document_id: Option<String>,
    /// Only versions of this day or time, or later.
    #[arg(long, value_name = "DAY")]
    pub(super) since: Option<String>,
    /// Only versions up to this day or time.
    #[arg(long, value_name = "DAY")]
    pub(super) until: Option<String>,
    /// Only versions of this user, or of this session.
    #[arg(long, value_name = "USER")]
    pub(super) by: Option<String>,
    /// The largest number of versions; 20 when absent.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, hide_default_value = true,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) limit: u32,
}

/// Which versions are compared.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DiffArguments {
    /// The document's name, such as `progress.md`; `.md` may be left out.
    #[arg(value_name = "DOC")]
    pub(super) document: String,
    /// The number of the version, as `history` lists it.
    #[arg(value_name = "VERSION")]
    pub(super) version: u32,
    /// Another version; the present text when absent.
    #[arg(value_name = "WITH")]
    pub(super) with: Option<u32>,
    /// The name is that of an entity of the graph.
    #[arg(long)]
    pub(super) entity: bool,
}

/// Whose changes are taken back, and how.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct UndoArguments {
    /// Only changes of this document.
    #[arg(value_name = "DOC")]
    pub(super) document: Option<String>,
    /// The name is that of an entity of the graph.
    #[arg(long, requires = "document")]
    pub(super) entity: bool,
    /// The session, by the id that `history --json` shows.
    #[arg(long, value_name = "ID", conflicts_with = "by", value_parser = session_id)]
    pub(super) session: Option<uuid::Uuid>,
    /// The user; with `--since`.
    #[arg(long, value_name = "USER", requires = "since")]
    pub(super) by: Option<String>,
    /// Only changes of this day or time, or later.
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Only changes up to this day or time.
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
    /// Show what would be done.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do nothing if something must be left as it is.
    #[arg(long)]
    pub(super) all_or_nothing: bool,
    /// Do it.
    #[arg(long)]
    pub(super) yes: bool,
}

/// The id of a session.
fn session_id(given: &str) -> Result<uuid::Uuid, String> {
    uuid::Uuid::parse_str(given.trim()).map_err(|_| {
        "a session is the `session` that `history --json` shows; for a user give `--by USER --since TIME`"
            .to_owned()
    })
}

impl UndoArguments {
    /// Whether something may be written.
    pub(super) fn writes(&self) -> bool {
        self.yes && !self.dry_run
    }
}

/// A part of a document.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PartArguments {
    /// Show only the section below this heading.
    #[arg(long, value_name = "HEADING", conflicts_with_all = ["from_line", "tail"])]
    pub(super) heading: Option<String>,
    /// Show the document from this line on.
    #[arg(long, value_name = "N", conflicts_with = "tail", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) from_line: Option<u32>,
    /// Show at most so many lines.
    #[arg(long, value_name = "N", conflicts_with = "tail", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) lines: Option<u32>,
    /// Show only the last lines.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) tail: Option<u32>,
}

/// The query and its filters.
#[derive(Debug, Clone, Args)]
pub(crate) struct SearchArguments {
    /// Words in any order; "quotes" inside the argument for a phrase.
    #[arg(required = true, value_name = "QUERY")]
    pub(super) query: Vec<String>,
    /// The largest number of lines; 20 when absent.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, hide_default_value = true,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) limit: u32,
    /// Search only this document; can be repeated.
    #[arg(long = "file", value_name = "DOC")]
    pub(super) files: Vec<String>,
    /// Only entries since this day (2026-08-30), month (2026-08) or year.
    #[arg(long, value_name = "DAY")]
    pub(super) since: Option<String>,
    /// Only entries until this day, month or year.
    #[arg(long, value_name = "DAY")]
    pub(super) until: Option<String>,
    /// Distinguish upper and lower case.
    #[arg(long)]
    pub(super) case_sensitive: bool,
    #[command(flatten)]
    pub(super) facts: FactOptions,
}

/// A decision to record.
#[derive(Debug, Clone, Args)]
pub(crate) struct DecisionArguments {
    /// What it is about, in a line.
    pub(super) title: String,
    /// What was decided; `-` reads it from standard input.
    #[arg(long, value_name = "TEXT")]
    pub(super) decision: String,
    /// Why it had to be decided.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) context: String,
    /// Another possibility that was considered; can be repeated.
    #[arg(long = "alternative", value_name = "TEXT")]
    pub(super) alternatives: Vec<String>,
    /// What follows from it; can be repeated.
    #[arg(long = "consequence", value_name = "TEXT")]
    pub(super) consequences: Vec<String>,
    /// The first day or time at which it holds.
    #[arg(long, value_name = "TIME")]
    pub(super) valid_from: Option<String>,
    /// The last day or time at which it holds.
    #[arg(long, value_name = "TIME")]
    pub(super) valid_until: Option<String>,
    /// The last day or time at which it can be relied on.
    #[arg(long, value_name = "TIME")]
    pub(super) expires_at: Option<String>,
    /// The title of a decision that it replaces; can be repeated.
    #[arg(long, value_name = "TITLE")]
    pub(super) supersedes: Vec<String>,
}
