//! The action `restore`: brings back a version, or takes back only what one version changed.

use std::sync::Arc;

use memory_bank_core::document::{DocumentPath, Etag, check_etag, write_document};
use memory_bank_core::error::EditError;
use memory_bank_core::history::{
    Chain, ChainQuery, HistorySource, Obstacle, Snapshot, Subject, Version, VersionKind, VersionQuery,
    changed_again, take_back,
};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, Drafts, ReadOutcome, lines_named};
use serde_json::json;

use super::undo::author_and_number;
use super::{History, missing, text_of};
use crate::mcp::tools::documents::write::change;
use crate::mcp::tools::extra_members::note_stored_name;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::tool::Call;

/// The most versions that an error names.
const MAX_NAMED: usize = 5;

/// Restores.
pub(super) async fn restore(
    call: &Call,
    bank: &Arc<dyn Bank>,
    arguments: &History,
) -> Result<Reply, Failure> {
    call.must_change("restore a version")?;
    let (path, number) = (arguments.document()?, arguments.number()?);
    let (version, text) = text_of(call, bank, (&path, arguments.document_id.as_ref()), number).await?;
    if arguments.document_id.is_some() {
        expect_free_name(call, bank, &path, &version).await?;
    }
    if version.kind == VersionKind::Foreign && !arguments.accept_foreign {
        return Err(foreign(number, path.as_str()));
    }
    if arguments.only_change {
        return restore_change(call, bank, arguments, &version).await;
    }
    let Some(text) = text else {
        return Err(Failure::message(format!(
            "version {number} of `{path}` is its deletion; restore the version before it"
        )));
    };
    let mut context = call.context.clone();
    context.restores = true;
    let (document, etag) = (version.document.clone(), Etag::of(&text));
    context.made_of = vec![HistorySource::Text { document, path: path.clone(), etag }];
    let if_match = arguments.if_match_etag.as_deref();
    let mut written = None;
    let paths = [path.clone()];
    let changes = change(call, "Error restoring a version", path.as_str(), &paths, &mut |drafts| {
        drafts.set_context(&context);
        written = Some(write_document(drafts, &path, &text, if_match)?);
        Ok(())
    })
    .await?;
    let etag = written.map(|written| written.etag);
    let mut data =
        json!({"success": true, "filename": path.as_str(), "restored": version.number, "etag": etag});
    if let Some(changed) = changes.first() {
        note_stored_name(&mut data, path.as_str(), &changed.path);
    }
    Reply::json(&data)
}

/// Refuses a version of a deleted document whose name another one has now, whose text it would replace.
async fn expect_free_name(
    call: &Call,
    bank: &Arc<dyn Bank>,
    path: &DocumentPath,
    version: &Version,
) -> Result<(), Failure> {
    let read = bank.read(&call.caller, std::slice::from_ref(path)).await?.pop();
    if matches!(read, None | Some(ReadOutcome::Missing)) {
        return Ok(());
    }
    let query = VersionQuery {
        subject: Subject::Name(path.clone()),
        since: None,
        until: None,
        by: None,
        after: None,
        limit: 1,
    };
    let named = bank.list_versions(&call.caller, &query).await?.document;
    if named.as_ref() == Some(&version.document) {
        return Ok(());
    }
    Err(Failure::message(format!(
        "`{path}` is another document now, whose text this version would replace; rename `{path}` first, or read the version with \
         `show` and write it under another name"
    )))
}

/// The refusal of a version that nobody here wrote.
pub(super) fn foreign(number: i64, name: &str) -> Failure {
    Failure::message(format!(
        "version {number} of `{name}` came with the repository, and nobody here wrote it; read it with `show`, then \
         restore it with `acceptForeign`"
    ))
}

/// Takes back what this version changed in the text; later changes stay.
async fn restore_change(
    call: &Call,
    bank: &Arc<dyn Bank>,
    arguments: &History,
    version: &Version,
) -> Result<Reply, Failure> {
    let (path, number) = (arguments.document()?, version.number);
    let chain = chain_to(call, bank, version, &path).await?;
    let refused = |text: String| {
        Failure::message(format!("what version {number} changed cannot be taken back: {text}"))
    };
    let taken = take_back(&chain, &|version| version.number == number)
        .map_err(|obstacle| refused(obstacle_named(&chain, number, &obstacle)))?;
    let (Some(current), Some(new)) = (&chain.current, taken.document) else {
        return Err(refused(format!(
            "`{path}` was created or deleted by it; restore a version, delete the document, or undo the session"
        )));
    };
    if new.path != current.path {
        return Err(refused(format!("it renamed the document; rename `{path}` back, or undo the session")));
    }
    let (if_match, unchanged) = (arguments.if_match_etag.as_deref(), new.text == current.content);
    let mut context = call.context.clone();
    context.restores = true;
    context.made_of = vec![chain.source(&version.document, &path)];
    let Snapshot { path: name, text } = new;
    let paths = [name.clone()];
    change(call, "Error restoring a version", name.as_str(), &paths, &mut |drafts: &mut Drafts| {
        drafts.set_context(&context);
        check_etag(drafts, &name, if_match)?;
        // The written text is made of this one.
        if drafts.stored(&name).is_none_or(|stored| stored.etag != current.etag) {
            return Err(EditError::Refused("it changed at this moment; try again".to_owned()));
        }
        drafts.set(&name, text.clone())
    })
    .await?;
    let mut data = json!({
        "success": true,
        "filename": name.as_str(),
        "takenBack": number,
        "etag": Etag::of(&text),
    });
    if unchanged && let Some(object) = data.as_object_mut() {
        object.insert("note".into(), json!("nothing of it is left in the text, so nothing changed"));
    }
    Reply::json(&data)
}

/// The versions down to this one.
async fn chain_to(
    call: &Call,
    bank: &Arc<dyn Bank>,
    version: &Version,
    path: &DocumentPath,
) -> Result<Chain, Failure> {
    call.services.replies.need(limits::CHAIN_BYTES + 4 * limits::DOCUMENT_BYTES).await?;
    let (document, from) = (version.document.clone(), version.number);
    let query = ChainQuery { document, path: path.clone(), from, most: limits::CHAIN_VERSIONS };
    let chain = bank.chain(&call.caller, &query).await.map_err(|error| missing(bank, error))?;
    if chain.links.last().is_some_and(|oldest| oldest.version.number == from) {
        return Ok(chain);
    }
    Err(Failure::message(format!(
        "version {from} of `{path}` has more than {} later versions; restore it as a whole",
        limits::CHAIN_VERSIONS
    )))
}

/// Why a change stays, with its lines and the versions that changed them again.
fn obstacle_named(chain: &Chain, number: i64, obstacle: &Obstacle) -> String {
    let versions: Vec<String> = changed_again(chain, number)
        .into_iter()
        .take(MAX_NAMED)
        .map(|link| author_and_number(&link.version))
        .collect();
    let by = if versions.is_empty() { String::new() } else { format!(" by {}", versions.join(", ")) };
    match obstacle {
        Obstacle::Lines(lines) => format!("{} changed since{by}", lines_named(lines)),
        Obstacle::ChangedSince => format!("it created the document, which changed since{by}"),
        Obstacle::DeletedSince => format!("the document was deleted since{by}"),
        Obstacle::ExistsAgain => format!("it deleted the document, which was written anew{by}"),
        Obstacle::RenamedSince => format!("it renamed the document, which was renamed again{by}"),
        Obstacle::Damaged(damage) => damage.to_string(),
    }
}
