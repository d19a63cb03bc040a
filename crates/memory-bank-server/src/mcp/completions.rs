//! Completions: names of documents, names of entities, modes.

use memory_bank_core::caller::Caller;
use memory_bank_core::error::{GraphError, WorkspaceError};
use memory_bank_core::mode::Mode;
use rmcp::model::{CompleteRequestParams, CompleteResult, CompletionInfo, ErrorData, Reference};

use crate::mcp::prompts::{self, Completes};
use crate::mcp::resources;
use crate::mcp::tools::{internal, store_fault, workspace_fault};
use crate::services::Services;

/// Completes the argument of a prompt or of the resource template. What cannot be completed gets no values.
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
    let (mut values, more) = match what {
        None => (Vec::new(), false),
        Some(Completes::Mode) => (
            Mode::ALL.iter().map(ToString::to_string).filter(|mode| mode.starts_with(&value)).collect(),
            false,
        ),
        Some(Completes::Document) => (documents(services, caller, &value).await?, false),
        Some(Completes::Entity) => {
            let limit = CompletionInfo::MAX_VALUES + 1;
            let names = entities(services, caller, &request.argument.value, limit).await?;
            let more = names.len() == limit;
            (names, more)
        }
    };
    let total = values.len();
    values.truncate(CompletionInfo::MAX_VALUES);
    let has_more = more || total > values.len();
    let total = if more { None } else { u32::try_from(total).ok() };
    let info = CompletionInfo::with_pagination(values, total, has_more)
        .map_err(|error| internal(&error, services.entropy.id()))?;
    Ok(CompleteResult::new(info))
}

/// Documents that begin with the text, then those that contain it.
async fn documents(services: &Services, caller: &Caller, value: &str) -> Result<Vec<String>, ErrorData> {
    let bank = match services.workspace.bank(caller, None).await {
        Ok(bank) => bank,
        Err(WorkspaceError::NoBank) => return Ok(Vec::new()),
        Err(error) => return Err(workspace_fault(&error, services.entropy.id())),
    };
    let entries = bank.list(caller).await.map_err(|error| store_fault(&error, services.entropy.id()))?;
    let names = entries.into_iter().filter(|entry| entry.path.is_some()).map(|entry| entry.name);
    let (begin, contain): (Vec<String>, Vec<String>) = names
        .map(|name| name.strip_suffix(".md").map(str::to_owned).unwrap_or(name))
        .filter(|name| name.to_lowercase().contains(value))
        .partition(|name| name.to_lowercase().starts_with(value));
    Ok(begin.into_iter().chain(contain).collect())
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
