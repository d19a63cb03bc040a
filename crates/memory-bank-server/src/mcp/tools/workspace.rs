//! Tools that find, create and select banks.

use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::store::{SelectTarget, StoreKind};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::mcp::tools::blind::{WithoutRead, given_text};
use crate::mcp::tools::common_arguments::STORE_ID;
use crate::mcp::tools::documents::status::status;
use crate::mcp::tools::modes;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::LISTING_BYTES;
use crate::mcp::tools::schema::{Kind, optional, required};
use crate::mcp::tools::tool::{BankNeed, Call, Family, READS, SETS, ToolSpec, boxed};

/// Characters of an unused path that are shown.
const MAX_SHOWN_PATH_CHARS: usize = 200;

#[derive(Deserialize)]
struct Initialize {
    path: String,
    #[serde(default)]
    rules: bool,
}

pub(crate) const INITIALIZE_MEMORY_BANK: ToolSpec = ToolSpec {
    name: "initialize_memory_bank",
    title: "Initialize memory bank",
    description: "Create or complete a project's memory bank and use it.",
    family: Family::Workspace,
    right: Right::Write,
    without_read: WithoutRead::Sentence(|given| {
        format!("Memory Bank initialized at {}", given_text(given, "path"))
    }),
    hints: SETS,
    bank: BankNeed::None,
    arguments: &[
        required("path", Kind::Text, "Path not specified")
            .about("project folder")
            .or_called(&["projectpath"]),
        optional("rules", Kind::Flag),
    ],
    handler: boxed!(initialize_memory_bank),
};

/// Creates or completes a bank and activates it.
async fn initialize_memory_bank(mut call: Call) -> Result<Reply, Failure> {
    let Initialize { path, rules } = call.parse()?;
    let made = call
        .services
        .workspace
        .initialize(&call.caller, &path, rules)
        .await
        .map_err(|error| Failure::from(error).while_doing("Failed to initialize Memory Bank"))?;
    let mut text = format!("Memory Bank initialized at {}", made.location);
    text.push_str(&unused_path(&call, Some(&path), &made.location));
    let mut data = json!({"path": made.location, "created": made.created});
    for (name, what, names) in [
        ("outside", "Made outside of the memory bank", made.outside),
        ("warnings", "Not done", made.warnings),
    ] {
        if !names.is_empty() {
            text.push_str(&format!("\n{what}: {}", names.join(", ")));
            if let Some(object) = data.as_object_mut() {
                object.insert(name.to_owned(), json!(names));
            }
        }
    }
    if let Some(notice) = made.notice {
        text.push_str(&format!("\nNote: {notice}"));
        if let Some(object) = data.as_object_mut() {
            object.insert("notice".to_owned(), json!(notice));
        }
    }
    Ok(Reply::text(text, data))
}

#[derive(Deserialize)]
struct SetPath {
    path: Option<String>,
}

pub(crate) const SET_MEMORY_BANK_PATH: ToolSpec = ToolSpec {
    name: "set_memory_bank_path",
    title: "Open memory bank",
    description: "Switch to the existing memory bank of another project folder.",
    family: Family::Workspace,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: SETS,
    bank: BankNeed::None,
    arguments: &[optional("path", Kind::Text)],
    handler: boxed!(set_memory_bank_path),
};

/// Activates an existing bank.
async fn set_memory_bank_path(mut call: Call) -> Result<Reply, Failure> {
    let SetPath { path } = call.parse()?;
    let location = call.services.workspace.set_path(&call.caller, path.as_deref()).await.map_err(|error| match error {
        WorkspaceError::NotABank | WorkspaceError::NoBank => Failure::message(
            "Memory Bank not found in the provided directory. Use initialize_memory_bank to create one; the bank in \
             use stays the same.",
        ),
        other => other.into(),
    })?;
    let unused = unused_path(&call, path.as_deref(), &location);
    Ok(Reply::text(format!("Memory Bank path set to {location}{unused}"), json!({"path": location})))
}

/// A notice that the path was ignored, if it does not select the bank and means another one.
fn unused_path(call: &Call, path: Option<&str>, location: &str) -> String {
    let own = call.caller.project.0.to_string();
    let meant = path.map(|path| path.trim().trim_end_matches('/')).filter(|path| {
        !call.services.workspace.takes_paths() && !["", ".", location, own.as_str()].contains(path)
    });
    meant.map_or_else(String::new, |path| {
        let shown: String = path.chars().filter(|character| !character.is_control()).take(MAX_SHOWN_PATH_CHARS).collect();
        format!("\n`path` `{shown}` was not used: on this server the key decides the project. The bank is still {location}")
    })
}

#[derive(Deserialize)]
struct Debug {
    #[serde(default)]
    verbose: bool,
}

pub(crate) const DEBUG_MCP_CONFIG: ToolSpec = ToolSpec {
    name: "debug_mcp_config",
    title: "Show configuration",
    description: "Show the configuration, when the bank is not found.",
    family: Family::Workspace,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: READS,
    bank: BankNeed::None,
    arguments: &[optional("verbose", Kind::Flag)],
    handler: boxed!(debug_mcp_config),
};

/// Returns configuration and state.
async fn debug_mcp_config(mut call: Call) -> Result<Reply, Failure> {
    let Debug { verbose } = call.parse()?;
    let (directory, status) = match call.services.workspace.bank(&call.caller, None).await {
        Ok(bank) => (json!(bank.location()), status(&call, bank.as_ref()).await?),
        Err(WorkspaceError::NoBank) => (Value::Null, Value::Null),
        Err(error) => return Err(Failure::from(error).while_doing("Error debugging MCP configuration")),
    };
    let mode = modes::current(&call).await?;
    let configuration = call.services.workspace.configuration(&call.caller, verbose);
    let shown = |name: &str| configuration.get(name).cloned().unwrap_or_default();
    let system = json!({
        "platform": std::env::consts::OS,
        "release": null,
        "arch": std::env::consts::ARCH,
        "nodeVersion": null,
        "serverVersion": env!("CARGO_PKG_VERSION"),
        "cwd": shown("cwd"),
    });
    let mut data = json!({
        "timestamp": iso_millis(call.services.clock.now()),
        "memoryBank": {
            "directory": directory,
            "projectPath": shown("projectPath"),
            "language": "en",
            "folderName": shown("folderName"),
            "status": status,
        },
        "mode": {
            "name": mode.mode,
            "isUmbActive": mode.umb_active,
            "memoryBankStatus": if directory.is_null() { "INACTIVE" } else { "ACTIVE" },
        },
        "system": system,
    });
    if verbose && let Some(object) = data.as_object_mut() {
        object.insert("configuration".into(), configuration.clone());
    }
    Ok(Reply::text(format!("MCP Configuration Debug Information:\n{}", data), data))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListStores {
    store_id: Option<String>,
}

pub(crate) const LIST_STORES: ToolSpec = ToolSpec {
    name: "list_stores",
    title: "List memory banks",
    description: "List the known memory banks.",
    family: Family::Workspace,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: READS,
    bank: BankNeed::None,
    arguments: &[STORE_ID],
    handler: boxed!(list_stores),
};

/// Lists the known banks, or one of them.
async fn list_stores(mut call: Call) -> Result<Reply, Failure> {
    let ListStores { store_id } = call.parse()?;
    // Listing counts the documents of each bank.
    call.services.replies.need(LISTING_BYTES).await?;
    let mut known = call.services.workspace.stores(&call.caller).await?;
    if let Some(id) = store_id {
        known.stores.retain(|store| store.id == id);
    }
    Reply::json(&known)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SelectStore {
    #[serde(default)]
    action: Action,
    path: Option<String>,
    store_id: Option<String>,
    #[serde(default)]
    kind: StoreKind,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Select,
    Register,
    Unregister,
}

pub(crate) const SELECT_STORE: ToolSpec = ToolSpec {
    name: "select_store",
    title: "Select memory bank",
    description: "Switch to another bank, or register or unregister one.",
    family: Family::Workspace,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: SETS,
    bank: BankNeed::None,
    arguments: &[
        optional("action", Kind::Word(&["select", "register", "unregister"])),
        optional("path", Kind::Text),
        STORE_ID,
        optional("kind", Kind::Word(&["local", "remote"])),
    ],
    handler: boxed!(select_store),
};

/// Selects a bank, or edits the registry.
async fn select_store(mut call: Call) -> Result<Reply, Failure> {
    let arguments: SelectStore = call.parse()?;
    let path = arguments.path.filter(|path| !path.is_empty());
    let id = arguments.store_id.filter(|id| !id.is_empty());
    match arguments.action {
        Action::Select => {
            let target = match (path, id) {
                (Some(path), _) => SelectTarget::Path(path),
                (None, Some(id)) => SelectTarget::Store(id),
                (None, None) => {
                    return Err(Failure::Malformed(
                        "select needs `path` or `storeId`, for example {\"storeId\":\"shop\"}; list_stores shows the ids".into(),
                    ));
                }
            };
            select(&call, target).await
        }
        Action::Register => {
            let (path, id) = match (path, id) {
                (Some(path), Some(id)) => (path, id),
                (path, _) => {
                    let missing = if path.is_some() { "storeId" } else { "path" };
                    return Err(Failure::Malformed(format!(
                        "register needs `{missing}`, for example {{\"action\":\"register\",\"storeId\":\"shop\",\
                         \"path\":\"/home/me/shop\"}}"
                    )));
                }
            };
            call.must_change("register a bank")?;
            let store = call.services.workspace.register(&call.caller, &id, &path, arguments.kind).await?;
            Reply::json(&json!({"success": true, "action": "register", "store": store}))
        }
        Action::Unregister => {
            let Some(id) = id else {
                return Err(Failure::Malformed(
                    "unregister needs `storeId`, for example {\"action\":\"unregister\",\"storeId\":\"shop\"}".into(),
                ));
            };
            call.must_change("unregister a bank")?;
            let removed = call.services.workspace.unregister(&call.caller, &id).await?;
            let what = if removed { "removed from registry" } else { "not found in registry" };
            Reply::json(&json!({
                "success": removed,
                "action": "unregister",
                "storeId": id,
                "message": format!("Store \"{id}\" {what}"),
            }))
        }
    }
}

async fn select(call: &Call, target: SelectTarget) -> Result<Reply, Failure> {
    let selected = call.services.workspace.select(&call.caller, target).await.map_err(|error| match error {
        WorkspaceError::NotABank => Failure::message(
            "Failed to select store: the directory has no memory bank. Use initialize_memory_bank to create one; the \
             bank in use stays the same.",
        ),
        WorkspaceError::Store(error) => Failure::from(error).while_doing("Failed to select store"),
        other => other.into(),
    })?;
    Reply::json(&json!({
        "selected": true,
        "id": selected.id,
        "path": selected.path,
        "memoryBankDir": selected.location,
    }))
}
