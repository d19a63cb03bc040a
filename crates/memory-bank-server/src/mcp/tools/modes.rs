//! The mode of the assistant, and "Update Memory Bank". Both are information for the model; they restrict nothing.

use memory_bank_core::caller::Right;
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::mode::{Mode, UnknownMode, starts_umb};
use memory_bank_core::store::{ModeRules, SessionState};
use serde::Deserialize;
use serde_json::json;

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::reply::{Failure, NO_BANK_FOR_DOCUMENTS, Reply};
use crate::mcp::tools::schema::{Kind, optional};
use crate::mcp::tools::tool::{BankNeed, Call, Family, SETS, ToolSpec, boxed};

/// Characters of the reason why a rules file is invalid.
const MAX_REASON_CHARS: usize = 300;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SwitchMode {
    mode: Option<String>,
    umb: Option<bool>,
    umb_command: Option<String>,
}

/// The state of this caller.
pub(crate) async fn current(call: &Call) -> Result<SessionState, Failure> {
    Ok(call.services.state.load(&call.caller).await?)
}

pub(crate) const SWITCH_MODE: ToolSpec = ToolSpec {
    name: "switch_mode",
    title: "Show or switch mode",
    description: "Show or switch the mode; umb starts or ends Update Memory Bank.",
    family: Family::Modes,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: SETS,
    bank: BankNeed::None,
    arguments: &[
        optional("mode", Kind::KnownWord(&Mode::WORDS)),
        optional("umb", Kind::Flag),
        optional("umbCommand", Kind::Text),
    ],
    handler: boxed!(switch_mode),
};

/// Returns or switches the mode, and starts or ends UMB. If both are requested, both happen, or neither.
async fn switch_mode(mut call: Call) -> Result<Reply, Failure> {
    let SwitchMode { mode, umb, umb_command } = call.parse()?;
    let mode = mode.filter(|mode| !mode.is_empty());
    let mode: Option<Mode> = mode
        .map(|word| word.parse())
        .transpose()
        .map_err(|error: UnknownMode| Failure::message(error.to_string()))?;
    let before = current(&call).await?;
    // A client that must send every argument sends `false` beside a mode, without meaning it.
    let umb = umb.filter(|umb| *umb || before.umb_active || mode.is_none());
    let has_bank = match call.services.workspace.bank(&call.caller, None).await {
        Ok(_) => true,
        Err(WorkspaceError::NoBank) => false,
        Err(error) => return Err(error.into()),
    };
    if let Some(mode) = mode
        && let ModeRules::Invalid(reason) = call.services.workspace.mode_rules(&call.caller, mode).await?
    {
        return Err(Failure::message(format!(
            "Failed to switch to mode {mode}. Its rules file cannot be used: {}. It was left as it is; mend or delete it.",
            on_one_line(&reason)
        )));
    }
    match umb {
        Some(true) => {
            if !has_bank {
                return Err(Failure::message(NO_BANK_FOR_DOCUMENTS));
            }
            call.must_change("start an update of the memory bank")?;
            let command = umb_command.unwrap_or_else(|| "UMB".to_owned());
            check_umb(&call, mode.unwrap_or(before.mode), &command).await?;
        }
        Some(false) if !before.umb_active => return Err(Failure::message("UMB mode is not active.")),
        _ => {}
    }
    if mode.is_none() && umb.is_none() {
        return Ok(shown(&before, has_bank));
    }
    let mut switch = |state: &mut SessionState| switch(state, mode, umb);
    let after = call.services.state.update(&call.caller, &mut switch).await?;
    Ok(Reply { text: switched(mode, umb), ..shown(&after, has_bank) })
}

/// Sets the requested mode and the requested state of UMB.
fn switch(state: &mut SessionState, mode: Option<Mode>, umb: Option<bool>) {
    if let Some(mode) = mode {
        // Another mode has other rules, so an update that the old ones allowed ends.
        if mode != state.mode {
            state.umb_active = false;
        }
        state.mode = mode;
    }
    if let Some(umb) = umb {
        state.umb_active = umb;
    }
}

/// The text of a reply after a switch.
fn switched(mode: Option<Mode>, umb: Option<bool>) -> String {
    let mut lines = Vec::new();
    if let Some(mode) = mode {
        lines.push(format!("Successfully switched to mode {mode}."));
    }
    lines.extend(umb.map(|umb| {
        if umb {
            "[MEMORY BANK: UPDATING] UMB mode activated. You can temporarily update Memory Bank files."
                .to_owned()
        } else {
            "[MEMORY BANK: ACTIVE] UMB mode deactivated. Memory Bank updates have been completed.".to_owned()
        }
    }));
    lines.join("\n")
}

/// Why a rules file is invalid, possibly with a quotation. The file comes with a repository, so the quotation is
/// short and on one line.
fn on_one_line(reason: &str) -> String {
    let mut line: String =
        reason.chars().take(MAX_REASON_CHARS).collect::<String>().escape_debug().to_string();
    if reason.chars().nth(MAX_REASON_CHARS).is_some() {
        line.push('…');
    }
    line.replace("\\\"", "\"").replace("\\'", "'")
}

async fn check_umb(call: &Call, mode: Mode, command: &str) -> Result<(), Failure> {
    let rules = call.services.workspace.mode_rules(&call.caller, mode).await?;
    if let ModeRules::Invalid(reason) = &rules {
        return Err(Failure::message(format!(
            "Failed to activate UMB mode. The rules file of mode {mode} cannot be used: {}",
            on_one_line(reason)
        )));
    }
    if starts_umb(&rules, command) {
        return Ok(());
    }
    Err(Failure::message(
        "Invalid UMB command. Use `UMB` or `update memory bank`, or what the mode's rules file gives as trigger.",
    ))
}

fn shown(state: &SessionState, has_bank: bool) -> Reply {
    let status = if has_bank { "ACTIVE" } else { "INACTIVE" };
    let umb = if state.umb_active { "Yes" } else { "No" };
    Reply::text(
        format!("Current mode: {}\nMemory Bank status: {status}\nUMB mode active: {umb}", state.mode),
        json!({"mode": state.mode, "memoryBankStatus": status, "umbActive": state.umb_active}),
    )
}
