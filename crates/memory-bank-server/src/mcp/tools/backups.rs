//! Tools for backups.

use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::store::Backup;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::default_true;
use crate::mcp::tools::extra_members::note_left;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::ReplySpace;
use crate::mcp::tools::schema::{Kind, optional, required};
use crate::mcp::tools::tool::{ADDS, BANK, CHANGES, Call, Family, ToolSpec, boxed};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    backup_dir: Option<String>,
    #[serde(default)]
    list_only: bool,
}

pub(crate) const CREATE_BACKUP: ToolSpec = ToolSpec {
    name: "create_backup",
    title: "Back up",
    description: "Back up before large changes, or list backups.",
    family: Family::Backups,
    right: Right::Write,
    without_read: WithoutRead::Members(&["backupId", "backupPath", "timestamp"]),
    hints: ADDS,
    bank: BANK,
    arguments: &[optional("backupDir", Kind::Text), optional("listOnly", Kind::Flag)],
    handler: boxed!(create_backup),
};

/// Creates a backup, or lists them.
async fn create_backup(mut call: Call) -> Result<Reply, Failure> {
    let Create { backup_dir, list_only } = call.parse()?;
    let bank = call.bank()?;
    let failed = |error| Failure::from(error).while_doing("Error creating backup");
    if list_only {
        call.must_read("list backups")?;
        let backups = bank.list_backups(&call.caller, backup_dir.as_deref()).await.map_err(failed)?;
        let mut space = ReplySpace::of(&call.services.replies, None, &Value::Null);
        let (shown, left) = space.cut(backups.iter().map(backup_json), 1)?;
        let mut data = json!({
            "backups": shown,
            "metadata": {"count": backups.len(), "timestamp": iso_millis(call.services.clock.now())},
        });
        note_left(&mut data, &[("backups", left)], "older backups are restored by their ids all the same");
        return Reply::json(&data);
    }
    call.must_change("make a backup")?;
    let backup = bank.create_backup(&call.caller, backup_dir.as_deref()).await.map_err(failed)?;
    Reply::json(&json!({
        "success": true,
        "message": "Backup created successfully",
        "backupPath": backup.location,
        "backupId": backup.id,
        "timestamp": iso_millis(backup.timestamp),
    }))
}

fn backup_json(backup: &Backup) -> Value {
    json!({"id": backup.id, "timestamp": iso_millis(backup.timestamp), "path": backup.location})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Restore {
    backup_id: String,
    #[serde(default = "default_true")]
    create_pre_restore_backup: bool,
}

pub(crate) const RESTORE_BACKUP: ToolSpec = ToolSpec {
    name: "restore_backup",
    title: "Restore backup",
    description: "Put a backup back, when the user asks for it.",
    family: Family::Backups,
    right: Right::Admin,
    without_read: WithoutRead::Members(&["preRestoreBackupPath", "timestamp"]),
    hints: CHANGES,
    bank: BANK,
    arguments: &[
        required("backupId", Kind::Text, "Backup ID not specified"),
        optional("createPreRestoreBackup", Kind::Flag),
    ],
    handler: boxed!(restore_backup),
};

/// Restores a backup, all or nothing.
async fn restore_backup(mut call: Call) -> Result<Reply, Failure> {
    let Restore { backup_id, create_pre_restore_backup } = call.parse()?;
    let id = backup_id.trim();
    if id.is_empty() {
        return Err(Failure::message("Backup ID is required. create_backup with listOnly shows the ids."));
    }
    let restored = call
        .bank()?
        .restore_backup(&call.caller, id, create_pre_restore_backup)
        .await
        .map_err(|error| Failure::from(error).while_doing("Error restoring backup: Error"))?;
    let half = || ReplySpace::of(&call.services.replies, None, &Value::Null).share(2);
    let (files, files_left) = half().names(restored.files);
    let (kept, kept_left) = half().names(restored.kept);
    let mut data = json!({
        "success": true,
        "message": format!("Successfully restored from backup: {id}"),
        "restoredFiles": files,
    });
    if let Some(object) = data.as_object_mut() {
        if !kept.is_empty() {
            object.insert("keptFiles".into(), json!(kept));
        }
        if let Some(safety) = restored.safety {
            object.insert("preRestoreBackupPath".into(), json!(safety.location));
        }
        object.insert("timestamp".into(), json!(iso_millis(call.services.clock.now())));
    }
    let left = [("restoredFiles", files_left), ("keptFiles", kept_left)];
    note_left(
        &mut data,
        &left,
        "all of them were restored or kept; list_memory_bank_files shows what there is",
    );
    Reply::json(&data)
}
