//! Lists what can be folded, and folds what the caller chooses.

use std::sync::Arc;

use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::error::StoreError;
use memory_bank_core::limits;
use memory_bank_core::maintenance::Proposal;
use memory_bank_core::store::{Bank, MaintainError, Survey, carry_out, chosen, surveyed};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::extra_members::put;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::ReplySpace;
use crate::mcp::tools::schema::{Kind, optional};
use crate::mcp::tools::tool::{BANK, Call, Family, REPLACES, ToolSpec, boxed};
use crate::services::Services;

pub(crate) const MAINTAIN: ToolSpec = ToolSpec {
    name: "maintain",
    title: "Maintain",
    description: "List what can be folded; `apply` ids of it.",
    family: Family::Documents,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: REPLACES,
    bank: BANK,
    arguments: &[optional("apply", Kind::Texts).shown_as_text().or_called(&["ids", "id", "proposals"])],
    handler: boxed!(maintain),
};

#[derive(Deserialize)]
struct Maintain {
    #[serde(default)]
    apply: Vec<String>,
}

/// Lists proposals, or applies some.
async fn maintain(mut call: Call) -> Result<Reply, Failure> {
    let Maintain { apply } = call.parse()?;
    let bank = call.bank()?;
    if apply.is_empty() {
        let survey = proposals(&call.services, &call.caller, &bank).await?;
        return Reply::json(&listed_data(&call.services, &survey)?);
    }
    call.must_change("fold anything")?;
    if apply.len() > limits::PROPOSALS {
        return Err(Failure::Malformed(format!("`apply` has more than {} ids", limits::PROPOSALS)));
    }
    if !bank.keeps_history() {
        return Err(MaintainError::NoHistory.into());
    }
    let survey = proposals(&call.services, &call.caller, &bank).await?;
    let chosen = chosen(&survey, &apply)?;
    drop(survey);
    apply_all(&call, &bank, &chosen).await
}

/// Applies each in an edit of its own. One that is refused stops the others.
async fn apply_all(call: &Call, bank: &Arc<dyn Bank>, chosen: &[Proposal]) -> Result<Reply, Failure> {
    let now = call.services.clock.now();
    let mut applied: Vec<Value> = Vec::new();
    for proposal in chosen {
        let session = call.services.entropy.id();
        match carry_out(bank.as_ref(), &call.caller, proposal, session, now).await {
            Ok(()) => applied.push(json!({
                "id": proposal.id,
                "kind": proposal.kind,
                "about": proposal.about,
                "undoBy": session.to_string(),
            })),
            Err(error) if applied.is_empty() => return Err(error.into()),
            Err(error) => {
                return Err(Failure::Data(json!({
                    "error": "NOT_ALL",
                    "message": format!("the first {} were applied, then: {error}", applied.len()),
                    "applied": applied,
                })));
            }
        }
    }
    Reply::json(&json!({
        "success": true,
        "applied": applied,
        "note": "history with action undo and by: undoBy takes one back",
    }))
}

/// What can be folded.
async fn proposals(services: &Services, caller: &Caller, bank: &Arc<dyn Bank>) -> Result<Survey, Failure> {
    services.replies.need(limits::MAINTENANCE_BYTES).await?;
    Ok(survey(services, caller, bank.as_ref()).await?)
}

/// Lists what can be folded, on a thread for work that takes the processor. The caller has the memory for it.
pub(crate) async fn survey(
    services: &Services,
    caller: &Caller,
    bank: &dyn Bank,
) -> Result<Survey, MaintainError> {
    let now = services.clock.now();
    let surveyed = surveyed(bank, caller).await?;
    let examined = tokio::task::spawn_blocking(move || surveyed.examine(now)).await;
    examined.map_err(|error| StoreError::Unavailable(error.to_string()).into())
}

/// The list of a survey, within the bounds of a reply.
pub(crate) fn listed_data(services: &Services, survey: &Survey) -> Result<Value, Failure> {
    let mut data = json!({"dryRun": true});
    if !survey.not_examined.is_empty() {
        put(&mut data, "notExamined", json!(survey.not_examined));
    }
    let mut space = ReplySpace::of(&services.replies, None, &data);
    let (shown, _) = space.cut(survey.proposals.iter().take(limits::PROPOSALS).map(proposal_json), 1)?;
    let more = survey.proposals.len().saturating_sub(shown.len());
    put(&mut data, "proposals", json!(shown));
    if more > 0 {
        put(&mut data, "more", json!(more));
        put(&mut data, "note", json!("apply some of these, then list again to see the others"));
    }
    Ok(data)
}

fn proposal_json(proposal: &Proposal) -> Value {
    let mut data = json!({
        "id": proposal.id,
        "kind": proposal.kind,
        "about": proposal.about,
        "why": proposal.why,
        "change": proposal.change,
    });
    if proposal.fold.is_none() {
        put(&mut data, "onlyShown", json!(true));
    }
    data
}

impl From<MaintainError> for Failure {
    fn from(error: MaintainError) -> Self {
        match error {
            MaintainError::Edit(error) => error.into(),
            MaintainError::Graph(error) => error.into(),
            MaintainError::NotOwner(_) | MaintainError::NoHistory => Self::Unquoted(error.to_string()),
            other => Self::Message(other.to_string()),
        }
    }
}
