//! Prompts that a user selects: each has instructions and the current state of the bank.

use memory_bank_core::caller::Caller;
use memory_bank_core::document::roles::{has_content, without_template_rows};
use memory_bank_core::document::{CoreDocument, DocumentPath, clip};
use memory_bank_core::error::{EditError, GraphError, WorkspaceError};
use memory_bank_core::graph::FactView;
use memory_bank_core::limits;
use memory_bank_core::mode::{Mode, UnknownMode};
use memory_bank_core::store::{Bank, EntityRef, MaintainError, ReadOutcome};
use rmcp::model::{ErrorData, GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage, Role};
use serde_json::Value;

use crate::mcp::errors::{internal, no_memory, store_fault, workspace_fault};
use crate::mcp::frame::{Framed, framed};
use crate::mcp::tools::{listed_data, reading_bytes, survey};
use crate::services::Services;

/// Characters of one document in a prompt; a model can read the rest.
const MAX_DOCUMENT_CHARS: usize = 20_000;

/// How many entities, observations and relations of the graph go into a prompt.
const MAX_GRAPH_ITEMS: usize = 200;

/// How much of the graph is loaded for a prompt, in bytes.
const GRAPH_BYTES: usize = 4 * MAX_DOCUMENT_CHARS;

/// The completion of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completes {
    Document,
    Entity,
    Mode,
}

struct PromptSpec {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    arguments: &'static [ArgumentSpec],
    /// The documents whose current text is included.
    shows: &'static [CoreDocument],
    /// Whether the proposals of the tool `maintain` are included.
    shows_proposals: bool,
    task: &'static str,
}

struct ArgumentSpec {
    name: &'static str,
    description: &'static str,
    required: bool,
    completes: Option<Completes>,
}

const fn about(name: &'static str, description: &'static str, completes: Option<Completes>) -> ArgumentSpec {
    ArgumentSpec { name, description, required: false, completes }
}

const PROMPTS: [PromptSpec; 5] = [
    PromptSpec {
        name: "start_session",
        title: "Start a session",
        description: "Take up work where the last session left it",
        arguments: &[
            about("mode", "The mode to work in", Some(Completes::Mode)),
            about(
                "entity",
                "A thing of the knowledge graph that the session is about",
                Some(Completes::Entity),
            ),
            about("document", "A document to read beside the core ones", Some(Completes::Document)),
        ],
        shows: &[CoreDocument::ProductContext, CoreDocument::ActiveContext, CoreDocument::Progress],
        shows_proposals: false,
        task: "Start a session on this project. Read the state of the memory bank below, then tell me in a few \
               sentences what the project is, where the work stands, what is open and what blocks it, and propose what \
               to do first. If a document holds nothing yet, say so and ask me what to put there. \
               Before you start on a task, call get_targeted_context with it.",
    },
    PromptSpec {
        name: "update_memory_bank",
        title: "Update the memory bank (UMB)",
        description: "Bring every core document up to date with this conversation",
        arguments: &[],
        shows: &CoreDocument::ALL,
        shows_proposals: false,
        task: "Update the memory bank (UMB). Call switch_mode with umb true. Then go through this conversation and \
               compare it with the documents below: change with edit_memory_bank_file (with ifMatchEtag) what is no \
               longer true; log decisions that were made with log_decision; record finished work with \
               add_progress_entry; bring tasks, issues and next steps up to date; put lasting facts about named \
               things into the graph. Do not repeat what is there already. At the end call switch_mode with umb false \
               and tell me what changed.",
    },
    PromptSpec {
        name: "record_decision",
        title: "Record a decision",
        description: "Write down a decision of this conversation and why it was made",
        arguments: &[
            about("title", "What was decided, in a few words", None),
            about("entity", "The thing it concerns", Some(Completes::Entity)),
        ],
        shows: &[CoreDocument::DecisionLog],
        shows_proposals: false,
        task: "Record a decision of this conversation. Say in your own words what made it necessary, what was decided, \
               what else was considered and what follows from it; ask me for what you do not know. Check below that it \
               is not recorded already and whether it replaces an earlier one, then call log_decision. If it concerns \
               a named thing, attach it to the graph with graph_add_observation.",
    },
    PromptSpec {
        name: "hand_over",
        title: "Hand over",
        description: "Leave the bank so that someone else can go on",
        arguments: &[about("to", "Who goes on", None)],
        shows: &[CoreDocument::ActiveContext, CoreDocument::Progress],
        shows_proposals: false,
        task: "Prepare a hand-over. The next assistant knows nothing of this conversation. Compare it with the documents \
               below, then call finalize_thinking_session with a summary, the tasks that changed, the next steps in \
               the order they should be done, and a progress entry for what was finished; log decisions that are \
               missing. Then write me the hand-over: what was done, what is half done and its state, what comes \
               next, what to beware of.",
    },
    PromptSpec {
        name: "consolidate",
        title: "Consolidate the memory bank",
        description: "Fold what is repeated or over, and write summaries",
        arguments: &[],
        shows: &[],
        shows_proposals: true,
        task: "Consolidate the memory bank. Below is what the tool maintain proposes, found without a model. Tell me which \
               proposals you would apply and why; after I agree, call maintain with `apply` and their ids. Do not apply one that \
               would lose something: read the entity with graph_open_nodes or the document first. Of a `contradiction`, ask me \
               which fact is right, then write it again with graph_add_observation and `supersedes`. For an entity with many \
               facts about one thing, write one fact that summarises them, with their ids in `supersedes`, and keep each number, \
               name and negation. Summarise old entries of a long document with edit_memory_bank_file. At the end tell me what \
               changed, and the `undoBy` of each fold, with which history undoes it.",
    },
];

/// All prompts.
pub(crate) fn list() -> Vec<Prompt> {
    PROMPTS
        .iter()
        .map(|spec| {
            let arguments: Vec<PromptArgument> = spec
                .arguments
                .iter()
                .map(|argument| {
                    PromptArgument::new(argument.name)
                        .with_description(argument.description)
                        .with_required(argument.required)
                })
                .collect();
            let arguments = (!arguments.is_empty()).then_some(arguments);
            Prompt::new(spec.name, Some(spec.description), arguments).with_title(spec.title)
        })
        .collect()
}

/// The completion of a prompt's argument; `None` for free text.
pub(crate) fn completes(prompt: &str, argument: &str) -> Result<Option<Completes>, ErrorData> {
    let argument = find(prompt)?.arguments.iter().find(|spec| spec.name == argument);
    Ok(argument.and_then(|spec| spec.completes))
}

fn find(name: &str) -> Result<&'static PromptSpec, ErrorData> {
    PROMPTS.iter().find(|spec| spec.name == name).ok_or_else(|| {
        let short: String = name.chars().take(100).collect();
        ErrorData::invalid_params(format!("no prompt is called `{short}`; prompts/list shows them"), None)
    })
}

/// Fills in a prompt.
pub(crate) async fn get(
    services: &Services,
    caller: &Caller,
    name: &str,
    arguments: &JsonObject,
) -> Result<GetPromptResult, ErrorData> {
    let spec = find(name)?;
    let mut task = spec.task.to_owned();
    let mut entity = None;
    let mut document = None;
    for (name, value) in arguments {
        let argument = spec.arguments.iter().find(|argument| argument.name == name).ok_or_else(|| {
            ErrorData::invalid_params(format!("the prompt `{}` has no argument `{name}`", spec.name), None)
        })?;
        let value = value.as_str().ok_or_else(|| {
            ErrorData::invalid_params(format!("the argument `{name}` must be a string"), None)
        })?;
        if value.len() > limits::LINE_BYTES {
            let message = format!("the argument `{name}` is longer than {} bytes", limits::LINE_BYTES);
            return Err(ErrorData::invalid_params(message, None));
        }
        match argument.completes {
            _ if value.trim().is_empty() => {}
            Some(Completes::Entity) => entity = Some(value.to_owned()),
            Some(Completes::Document) => document = Some(value.to_owned()),
            Some(Completes::Mode) => {
                let mode: Mode = value
                    .parse()
                    .map_err(|error: UnknownMode| ErrorData::invalid_params(error.to_string(), None))?;
                task.push_str(&format!("\n\nWork in mode {mode}: call switch_mode with it first."));
            }
            None => task.push_str(&format!("\n\nThe {name} I have in mind: {value}")),
        }
    }
    let bank = match services.workspace.bank(caller, None).await {
        Ok(bank) => Some(bank),
        Err(WorkspaceError::NoBank) => None,
        Err(error) => return Err(workspace_fault(&error, services.entropy.id())),
    };
    let state = match bank {
        None => "There is no memory bank yet; offer to create one with initialize_memory_bank.".to_owned(),
        Some(bank) => present_state(services, caller, bank.as_ref(), spec, document, entity).await?,
    };
    let text = format!("{task}\n\n# The memory bank now\n\n{state}");
    let mut result = GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]);
    result.description = Some(spec.description.to_owned());
    Ok(result)
}

async fn present_state(
    services: &Services,
    caller: &Caller,
    bank: &dyn Bank,
    spec: &PromptSpec,
    document: Option<String>,
    entity: Option<String>,
) -> Result<String, ErrorData> {
    let mut paths: Vec<DocumentPath> = spec.shows.iter().map(|core| core.path()).collect();
    if let Some(name) = document {
        let path = DocumentPath::parse(&name).or_else(|_| DocumentPath::parse(&format!("{name}.md")));
        paths.push(path.map_err(|error| ErrorData::invalid_params(format!("`document`: {error}"), None))?);
    }
    services.replies.need(reading_bytes(paths.len())).await.map_err(no_memory)?;
    let outcomes =
        bank.read(caller, &paths).await.map_err(|error| store_fault(&error, services.entropy.id()))?;
    let mut texts = Vec::new();
    for (path, outcome) in paths.iter().zip(outcomes) {
        let (name, etag, content) = match outcome {
            ReadOutcome::Found(document) => {
                let whole = document.content.trim_end();
                let written = without_template_rows(whole);
                let content = if has_content(&written) {
                    clip(written.trim_end(), MAX_DOCUMENT_CHARS)
                } else {
                    "(nothing was written here yet)".to_owned()
                };
                // A part has no etag, with which it could be written back as the whole.
                let etag = (content == whole).then(|| document.etag.to_string());
                (document.path.to_string(), etag, content)
            }
            ReadOutcome::Unreadable(reason) => {
                (path.to_string(), None, format!("(it cannot be read: {reason})"))
            }
            _ => (path.to_string(), None, "(it does not exist)".to_owned()),
        };
        let mut attributes = vec![("document", name)];
        attributes.extend(etag.map(|etag| ("etag", etag)));
        texts.push(Framed { attributes, content });
    }
    if let Some(name) = entity {
        let view = FactView::now(services.clock.now());
        let content = match bank.open(caller, &[EntityRef(name.clone())], 1, GRAPH_BYTES, view).await {
            Ok(mut part) => {
                part.entities.truncate(MAX_GRAPH_ITEMS);
                part.observations.truncate(MAX_GRAPH_ITEMS);
                part.relations.truncate(MAX_GRAPH_ITEMS);
                let part: Value = serde_json::to_value(&part)
                    .map_err(|error| internal(&error.to_string(), services.entropy.id()))?;
                clip(&format!("{part:#}"), MAX_DOCUMENT_CHARS)
            }
            Err(GraphError::Store(error)) => return Err(store_fault(&error, services.entropy.id())),
            Err(error) => format!("(the graph cannot show it: {error})"),
        };
        texts.push(Framed { attributes: vec![("entity", name)], content });
    }
    if spec.shows_proposals {
        texts.push(proposals(services, caller, bank).await?);
    }
    Ok(framed(&texts))
}

/// The list of the tool `maintain`.
async fn proposals(services: &Services, caller: &Caller, bank: &dyn Bank) -> Result<Framed, ErrorData> {
    services.replies.need(limits::MAINTENANCE_BYTES).await.map_err(no_memory)?;
    let found = survey(services, caller, bank).await.map_err(|error| match error {
        MaintainError::Edit(EditError::Store(error)) | MaintainError::Graph(GraphError::Store(error)) => {
            store_fault(&error, services.entropy.id())
        }
        other => internal(&other.to_string(), services.entropy.id()),
    })?;
    let listed = listed_data(services, &found)
        .map_err(|_| internal("the proposals cannot be written as JSON", services.entropy.id()))?;
    Ok(Framed { attributes: vec![("tool", "maintain".to_owned())], content: format!("{listed:#}") })
}
