//! The versions that an edit adds to the history. Triggers add them (003); here is what only the server knows: the tool
//! and the session, and which part of a text changed.

use memory_bank_core::document::{Document, Etag};
use memory_bank_core::history::{ChangeContext, Delta, VersionKind, stored_tool};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Sets the change for the triggers of the transaction.
pub(crate) const SET_CHANGE: &str =
    "SELECT set_config('app.current_change', $1, true), set_config('app.current_versions', $2, true)";

/// The change of a server that keeps no history.
const OFF: &str = "-";

/// A version to add.
#[derive(Debug)]
pub(super) struct NewVersion {
    context: ChangeContext,
    kind: VersionKind,
    /// The replaced text and its etag; none if the document is new.
    former: Option<(Delta, Etag)>,
    etag: Etag,
    bytes: usize,
}

impl NewVersion {
    /// The version of a document that an edit creates or changes.
    pub(super) fn of(before: Option<&Document>, content: &str, etag: &Etag, context: &ChangeContext) -> Self {
        let former = before.map(|before| {
            let delta = Delta::of_version(before.version.saturating_add(1), &before.content, content);
            (delta, before.etag.clone())
        });
        let kind = match (context.restores, &former) {
            (true, _) => VersionKind::Restored,
            (false, Some(_)) => VersionKind::Changed,
            (false, None) => VersionKind::Created,
        };
        Self { context: context.clone(), kind, former, etag: etag.clone(), bytes: content.len() }
    }

    /// As the element of a list that `app.add_version` reads.
    fn listed(&self) -> Value {
        let (delta, former_etag) = self.former.as_ref().map(|(delta, etag)| (delta, etag.as_str())).unzip();
        json!({
            "kind": self.kind.as_str(),
            "tool": tool_of(&self.context),
            "session": session_of(&self.context),
            "bytes": self.bytes,
            "start": delta.map_or(0, Delta::start),
            "end": delta.map_or(0, Delta::end),
            "former": delta.map(Delta::former),
            "etag": self.etag.as_str(),
            "formerEtag": former_etag,
        })
    }
}

/// The settings of a transaction that changes documents.
pub(crate) struct SettingOfChange {
    /// For `app.current_change`.
    pub(crate) change: String,
    /// For `app.current_versions`.
    pub(crate) versions: String,
}

impl SettingOfChange {
    /// Creates the settings for a change by a command or tool that is not an edit.
    pub(crate) fn of_tool(keeps_history: bool, kind: Option<VersionKind>, tool: &str) -> Self {
        Self::of_kind(keeps_history, kind, &ChangeContext::of_tool(tool))
    }

    /// Creates the settings for a change of this kind, with the facts of its context.
    pub(crate) fn of_kind(keeps_history: bool, kind: Option<VersionKind>, context: &ChangeContext) -> Self {
        let change = change_of(keeps_history, kind.map_or("", VersionKind::as_str), context, "|");
        Self { change, versions: String::new() }
    }

    /// Creates the settings for a change of the graph.
    pub(crate) fn in_context(keeps_history: bool, context: &ChangeContext) -> Self {
        Self { change: change_of(keeps_history, "", context, "|"), versions: String::new() }
    }

    /// Creates the settings for an edit whose texts have one version each; `kept` is the range of the former text that is kept.
    pub(super) fn of_edit(
        keeps_history: bool,
        context: &ChangeContext,
        replaced: Option<&NewVersion>,
    ) -> Self {
        let kept = match replaced {
            None => "|".to_owned(),
            Some(version) => version
                .former
                .as_ref()
                .map(|(delta, _)| format!("{}|{}", delta.start(), delta.end()))
                .unwrap_or_default(),
        };
        Self { change: change_of(keeps_history, kind_of(context), context, &kept), versions: String::new() }
    }

    /// Creates the settings for an edit of several texts, with the versions of each name.
    pub(super) fn of_edits<'a>(
        keeps_history: bool,
        context: &ChangeContext,
        texts: impl Iterator<Item = (&'a String, &'a [NewVersion])>,
    ) -> Self {
        if !keeps_history {
            return Self { change: OFF.to_owned(), versions: String::new() };
        }
        let versions: Map<String, Value> = texts
            .map(|(name, versions)| (name.clone(), versions.iter().map(NewVersion::listed).collect()))
            .collect();
        let change = change_of(keeps_history, "*", context, "|");
        Self { change, versions: Value::Object(versions).to_string() }
    }
}

/// The kind of the versions of an edit, where the triggers cannot know it.
fn kind_of(context: &ChangeContext) -> &'static str {
    if context.restores { VersionKind::Restored.as_str() } else { "" }
}

fn change_of(keeps_history: bool, kind: &str, context: &ChangeContext, kept: &str) -> String {
    if !keeps_history {
        return OFF.to_owned();
    }
    let session = session_of(context).map(|session| session.to_string()).unwrap_or_default();
    format!("{kind}|{}|{session}|{kept}", tool_of(context).unwrap_or_default())
}

/// The name of the tool, if it can be a part of the setting.
fn tool_of(context: &ChangeContext) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    stored_tool(context).filter(|tool| tool.len() <= 64 && tool.bytes().all(plain))
}

fn session_of(context: &ChangeContext) -> Option<Uuid> {
    context.session.as_deref().and_then(|session| session.parse().ok())
}
