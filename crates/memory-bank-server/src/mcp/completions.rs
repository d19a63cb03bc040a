//! Completions: names of documents, names of entities, modes.

use memory_bank_core::caller::Caller;
use memory_bank_core::error::{GraphError, WorkspaceError};
use memory_bank_core::mode::Mode;
use rmcp::model::{CompleteRequestParams, CompleteResult, CompletionInfo, ErrorData, Reference};

use crate::mcp::errors::{internal, no_memory, store_fault, workspace_fault};
use crate::mcp::prompts::{self, Completes};
use crate::mcp::resources;
use crate::mcp::tools::LISTING_BYTES;
use crate::services::Services;

/// Completes the argument of a prompt or of the resource template. Other arguments get no values.
pub(crate) async fn complete(
    services: &Services,
    caller: &Caller,
    request: &CompleteRequestParams,
) -> Result<CompleteResult, ErrorData> {
    let what = match &request.r#ref {
        Reference::Resource(reference) => {
            let known = resources::templates().iter().any(|template| template.uri_template == reference.uri);
            if !known {
                let message =
                    format!("no resource template `{}`; resources/templates/list shows them", reference.uri);
                return Err(ErrorData::invalid_params(message, None));
            }
            (request.argument.name == "name").then_some(Completes::Document)
        }
        Reference::Prompt(reference) => prompts::completes(&reference.name, &request.argument.name)?,
        _ => None,
    };
    let value = request.argument.value.to_lowercase();
    // The total is unknown for entities, of which no more than these are read.
    let (mut values, total) = match what {
        None => (Vec::new(), Some(0)),
        Some(Completes::Mode) => {
            let modes = Mode::ALL.iter().map(ToString::to_string).filter(|mode| mode.starts_with(&value));
            let modes: Vec<String> = modes.collect();
            let total = modes.len();
            (modes, Some(total))
        }
        Some(Completes::Document) => {
            let (names, total) = documents(services, caller, &value).await?;
            (names, Some(total))
        }
        Some(Completes::Entity) => {
            let limit = CompletionInfo::MAX_VALUES + 1;
            let names = entities(services, caller, &request.argument.value, limit).await?;
            let total = (names.len() < limit).then_some(names.len());
            (names, total)
        }
    };
    values.truncate(CompletionInfo::MAX_VALUES);
    let has_more = total.is_none_or(|total| total > values.len());
    let total = total.and_then(|total| u32::try_from(total).ok());
    let info = CompletionInfo::with_pagination(values, total, has_more)
        .map_err(|error| internal(&error, services.entropy.id()))?;
    Ok(CompleteResult::new(info))
}

/// The first documents that begin with the text, then those that contain it; and their number.
async fn documents(
    services: &Services,
    caller: &Caller,
    value: &str,
) -> Result<(Vec<String>, usize), ErrorData> {
    let bank = match services.workspace.bank(caller, None).await {
        Ok(bank) => bank,
        Err(WorkspaceError::NoBank) => return Ok((Vec::new(), 0)),
        Err(error) => return Err(workspace_fault(&error, services.entropy.id())),
    };
    services.replies.need(LISTING_BYTES).await.map_err(no_memory)?;
    let entries = bank.list(caller).await.map_err(|error| store_fault(&error, services.entropy.id()))?;
    let names = entries.iter().filter(|entry| entry.path.is_some()).map(|entry| entry.name.as_str());
    let (begin, contain): (Vec<&str>, Vec<&str>) = names
        .map(|name| name.strip_suffix(".md").unwrap_or(name))
        .filter(|name| name.to_lowercase().contains(value))
        .partition(|name| name.to_lowercase().starts_with(value));
    let total = begin.len() + contain.len();
    let shown = begin.into_iter().chain(contain).take(CompletionInfo::MAX_VALUES);
    Ok((shown.map(str::to_owned).collect(), total))
}

async fn entities(
    services: &Services,
    caller: &Caller,
    value: &str,
    limit: usize,
) -> Result<Vec<String>, ErrorData> {
    match services.workspace.bank(caller, None).await {
        Ok(bank) => bank.names(caller, value, limit).await.map_err(|error| match error {
            GraphError::Store(error) => store_fault(&error, services.entropy.id()),
            other => internal(&other.to_string(), services.entropy.id()),
        }),
        Err(WorkspaceError::NoBank) => Ok(Vec::new()),
        Err(error) => Err(workspace_fault(&error, services.entropy.id())),
    }
}
