//! The history in a transfer: an export reads it in pages, one document at a time; an import adds it through the one function
//! that may, which marks each version as imported.

use std::collections::BTreeSet;

use jiff::Timestamp;
use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::error::StoreError;
use memory_bank_core::history::{Delta, Link, Version, VersionKind};
use memory_bank_core::limits;
use memory_bank_core::transfer::{DocumentCopy, DocumentHistory, write_history_line};
use tokio_postgres::Row;
use uuid::Uuid;

use super::error::TransferError;
use super::import::Import;
use super::read::Export;
use super::write::{STATEMENT_BYTES, put_documents};
use crate::column::{answer, column};
use crate::documents::versions::{SET_CHANGE, SettingOfChange};
use crate::history::{link, name_of};
use crate::tenant::{Query, Value};

/// The documents of the history, the last changed ones first.
const DOCUMENTS: &str = "SELECT document_id, count(*) FROM app.document_versions WHERE project_id = $1 \
    GROUP BY document_id ORDER BY max(at) DESC, document_id";
/// A document as it is now, without values if it is gone; since when a living document has the name of its last version; and the
/// time.
const NOW: &str = "SELECT d.path, d.etag, octet_length(d.content)::bigint, d.version, d.updated_at, n.created_at, now() \
    FROM (SELECT path FROM app.document_versions WHERE project_id = $1 AND document_id = $2 ORDER BY version DESC LIMIT 1) AS v \
    LEFT JOIN public.documents d ON d.project_id = $1 AND d.id = $2 \
    LEFT JOIN public.documents n ON n.project_id = $1 AND n.path = v.path";
/// The columns of [`crate::history`]'s chain, in pages.
const PAGE: &str = "SELECT document_id, version, at, author, key_id, key_prefix, session_id, bytes, kind, tool, path, former_path, \
    etag, former_etag, replaced, former_bytes, imported, kept_start, kept_end, former \
    FROM app.document_chain($1, 0, $2, $3, $4)";
const PAGE_VERSIONS: i32 = 2000;
const PAGE_BYTES: i64 = 4 * 1024 * 1024;
/// What a version takes beside its text.
const VERSION_BYTES: usize = 500;

/// The documents that the project has or had.
const KNOWN: &str = "SELECT document_id FROM app.document_versions WHERE project_id = $1 \
    UNION SELECT id FROM public.documents WHERE project_id = $1";
const IMPORT: &str = "SELECT app.import_versions($1::text::json)";
const PUT_DOCUMENTS: &str = "INSERT INTO public.documents (project_id, id, version, path, content, etag, created_at, updated_at) \
    SELECT $1, u.id, u.version, u.path, u.content, u.etag, u.at, u.at \
    FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::timestamptz[]) \
    AS u (id, version, path, content, etag, at)";
/// The bytes of the project's history, as the clean-up counts them.
const BYTES: &str = "SELECT (SELECT coalesce(sum(200 + coalesce(octet_length(former), 0)), 0) FROM app.document_versions \
    WHERE project_id = $1)::bigint + (SELECT coalesce(sum(200 + coalesce(octet_length(former::text), 0)), 0) \
    FROM app.graph_history WHERE project_id = $1)::bigint";

impl Export {
    /// The documents that have a history, the last changed ones first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn history(&mut self) -> Result<Vec<(Uuid, usize)>, TransferError> {
        let project: [Value<'_>; 1] = [&self.caller.project.0];
        let rows = self.transaction.run(&[Query::new(DOCUMENTS, &project)]).await?;
        let documents = answer(&rows, 0).iter().map(|row| {
            let versions: i64 = column(row, 1)?;
            Ok((column(row, 0)?, usize::try_from(versions).unwrap_or_default()))
        });
        Ok(documents.collect::<Result<_, StoreError>>()?)
    }

    /// The history of one of them, in the snapshot of the export: so many of its newest versions as there is room for. A change
    /// that was made while no history was kept is the newest one, from outside.
    ///
    /// # Errors
    /// The database fails.
    pub async fn history_of(
        &mut self,
        (document, versions): (Uuid, usize),
    ) -> Result<DocumentHistory, TransferError> {
        let mut history = DocumentHistory::default();
        let (mut before, mut bytes, mut read) = (None::<i64>, 0, 0);
        let mut now = None;
        // Most documents have one page, which comes with the present state in one round trip.
        while read < versions {
            let values: [Value<'_>; 4] = [&document, &PAGE_VERSIONS, &PAGE_BYTES, &before];
            let present: [Value<'_>; 2] = [&self.caller.project.0, &document];
            let queries = [Query::new(PAGE, &values), Query::new(NOW, &present)];
            let wanted = if before.is_none() { &queries[..] } else { &queries[..1] };
            let mut rows = self.transaction.run(wanted).await?;
            let page = answer(&rows, 0).iter().map(link).collect::<Result<Vec<Link>, StoreError>>()?;
            now = now.or_else(|| (rows.len() > 1).then(|| rows.swap_remove(1)));
            let Some(oldest) = page.last() else { break };
            before = Some(oldest.version.number);
            read += page.len();
            for one in page {
                bytes += weight(&one);
                if bytes <= limits::TRANSFER_HISTORY_BYTES || history.links.is_empty() {
                    history.links.push(one);
                }
            }
            if bytes > limits::TRANSFER_HISTORY_BYTES {
                break;
            }
        }
        history.left_out = versions.saturating_sub(history.links.len());
        if let (Some(newest), Some(row)) = (history.newest(), now.as_ref().and_then(|rows| rows.first())) {
            let unseen = unseen_change(newest, row)?;
            history.links.splice(0..0, unseen);
        }
        note_unseen_renamings(&mut history.links);
        Ok(history)
    }
}

/// The change after the newest version that no history has, from a row of [`NOW`]: a document that has another name or text by
/// now, or is gone. Without it, the versions of a renamed document would go to the next one of its former name.
fn unseen_change(newest: &Version, row: &Row) -> Result<Option<Link>, StoreError> {
    let Some(name) = column::<Option<&str>>(row, 0)? else {
        if newest.etag.is_none() {
            return Ok(None);
        }
        let gone_by = column::<Option<Timestamp>>(row, 5)?.map_or_else(|| column(row, 6), Ok)?;
        let version =
            Version { kind: VersionKind::Deleted, etag: None, bytes: 0, ..newest.outside_after(gone_by) };
        return Ok(Some(Link { version, former: None, back: None }));
    };
    let (path, etag) = (name_of(name)?, Etag::claimed(column(row, 1)?));
    let is_renamed = path != newest.path;
    let is_changed = newest.etag.as_ref() != Some(&etag);
    if !is_renamed && !is_changed {
        return Ok(None);
    }
    let bytes: i64 = column(row, 2)?;
    let version = Version {
        number: column::<i64>(row, 3)?.max(newest.number.saturating_add(1)),
        former_path: is_renamed.then(|| newest.path.clone()),
        path,
        bytes: u64::try_from(bytes).unwrap_or_default(),
        etag: Some(etag),
        ..newest.outside_after(column(row, 4)?)
    };
    // A text that is the same has all of it before; another one was made of a text that nobody has.
    let (former, back) = if is_changed {
        (None, None)
    } else {
        let whole = usize::try_from(bytes).unwrap_or_default();
        (newest.etag.clone(), Some(Delta::from_parts(whole, 0, String::new())))
    };
    Ok(Some(Link { version, former, back }))
}

/// A renaming without a history adds no version: the next one, of which the document has another name, has it, too.
fn note_unseen_renamings(links: &mut [Link]) {
    for at in 1..links.len() {
        let (newer, older) = links.split_at_mut(at);
        let (Some(newer), Some(older)) = (newer.last_mut(), older.first()) else { continue };
        if newer.version.former_path.is_none() && newer.version.path != older.version.path {
            newer.version.former_path = Some(older.version.path.clone());
        }
    }
}

/// Whether a text in JSON has a null character. Its escape is none after a backslash that is escaped itself.
fn has_null_escape(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(at, _)| {
        let before = json.get(..at).unwrap_or_default();
        let backslashes = before.len() - before.trim_end_matches('\\').len();
        backslashes % 2 == 0
    })
}

fn weight(link: &Link) -> usize {
    link.back.as_ref().map_or(0, |back| back.bytes()) + VERSION_BYTES
}

impl Import {
    /// Adds the history of a document, before [`Self::put`] writes the document itself. A server that keeps no history adds none. A document that the project has,
    /// or whose history it has, keeps its own history, and the versions are left out.
    ///
    /// # Errors
    /// A version is malformed, or the database fails.
    pub async fn put_history(&mut self, history: &DocumentHistory) -> Result<(), TransferError> {
        let Some(newest) = history.newest() else { return Ok(()) };
        let refused = |_| TransferError::Refused(format!("`{}` is no id of a document", newest.document));
        let document: Uuid = newest.document.parse().map_err(refused)?;
        self.history.count.left_out += history.left_out;
        let path = history.live_path();
        let is_taken = |path: &DocumentPath| {
            self.present.contains_key(path.as_str()) || self.history.live.contains_key(path.as_str())
        };
        let is_taken = path.is_some_and(is_taken);
        if !self.keeps_history || is_taken || self.known().await?.contains(&document) {
            self.history.count.left_out += history.links.len();
            return Ok(());
        }
        // The oldest come first, so that rows are added in the order of time.
        let mut page = Vec::new();
        for link in history.links.iter().rev() {
            let line = write_history_line(link)?;
            if page.len() + line.len() > STATEMENT_BYTES && !page.is_empty() {
                self.add_versions(std::mem::take(&mut page)).await?;
            }
            page.push(if page.is_empty() { b'[' } else { b',' });
            page.extend(line);
        }
        self.add_versions(page).await?;
        self.history.known.get_or_insert_default().insert(document);
        self.history.count.versions += history.links.len();
        if let Some((path, etag)) = path.zip(newest.etag.clone()) {
            self.history.live.insert(path.as_str().to_owned(), (document, newest.number, etag));
        }
        Ok(())
    }

    async fn known(&mut self) -> Result<&BTreeSet<Uuid>, TransferError> {
        if self.history.known.is_none() {
            let project: [Value<'_>; 1] = [&self.caller.project.0];
            let rows = self.transaction.run(&[Query::new(KNOWN, &project)]).await?;
            let known: BTreeSet<Uuid> =
                answer(&rows, 0).iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?;
            self.history.begins = known.is_empty();
            self.history.known = Some(known);
        }
        Ok(self.history.known.get_or_insert_default())
    }

    async fn add_versions(&self, mut list: Vec<u8>) -> Result<(), TransferError> {
        list.push(b']');
        let text = String::from_utf8(list).map_err(|error| TransferError::Refused(error.to_string()))?;
        if has_null_escape(&text) {
            return Err(TransferError::Refused(
                "a version of the history contains a null byte, which a database cannot keep, and nothing was moved; leave the \
                 history out with --no-history"
                    .to_owned(),
            ));
        }
        let values: [Value<'_>; 1] = [&text];
        self.transaction.run(&[Query::new(IMPORT, &values)]).await?;
        Ok(())
    }

    /// Writes the documents that get no version of the import, and returns the others: those whose history came with them, since the last
    /// imported version is their text; and those that have none in the source, if the project begins with the source's history.
    pub(super) async fn put_documents_with_history<'d>(
        &self,
        documents: &'d [DocumentCopy],
        wrote: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<Vec<&'d DocumentCopy>, TransferError> {
        let begins = self.history.begins && self.history.count.versions > 0;
        let mut without = Vec::new();
        let (mut others, mut whole, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for document in documents {
            match self.history.live.get(document.path.as_str()) {
                None if begins => without.push(document),
                None => others.push(document),
                Some((id, number, etag)) if Etag::of(&document.text) == *etag => {
                    whole.push((document, *id, *number));
                }
                Some((id, number, _)) => changed.push((document, *id, number.saturating_add(1))),
            }
        }
        if !whole.is_empty() || !without.is_empty() {
            self.set_change(&SettingOfChange::of_tool(false, None, self.tool)).await?;
            self.put_with_ids(&whole).await?;
            put_documents(&self.transaction, &self.caller, &without, wrote).await?;
            self.set_change(&SettingOfChange::of_tool(self.keeps_history, None, self.tool)).await?;
        }
        self.put_with_ids(&changed).await?;
        wrote(whole.len() + changed.len());
        Ok(others)
    }

    pub(super) async fn set_change(&self, setting: &SettingOfChange) -> Result<(), TransferError> {
        let change: [Value<'_>; 2] = [&setting.change, &setting.versions];
        self.transaction.run(&[Query::new(SET_CHANGE, &change)]).await?;
        Ok(())
    }

    async fn put_with_ids(&self, documents: &[(&DocumentCopy, Uuid, i64)]) -> Result<(), TransferError> {
        for chunk in super::write::chunks(documents, |(document, _, _)| document.text.len()) {
            let of = |pick: fn(&DocumentCopy) -> &str| -> Vec<&str> {
                chunk.iter().map(|(document, _, _)| pick(document)).collect()
            };
            let etags: Vec<String> =
                chunk.iter().map(|(document, _, _)| Etag::of(&document.text).as_str().to_owned()).collect();
            let ids: Vec<Uuid> = chunk.iter().map(|(_, id, _)| *id).collect();
            let numbers: Vec<i64> = chunk.iter().map(|(_, _, number)| *number).collect();
            let times: Vec<Timestamp> = chunk.iter().map(|(document, _, _)| document.updated_at).collect();
            let (paths, texts) = (of(|one| one.path.as_str()), of(|one| one.text.as_str()));
            let values: [Value<'_>; 7] =
                [&self.caller.project.0, &ids, &numbers, &paths, &texts, &etags, &times];
            self.transaction.run(&[Query::new(PUT_DOCUMENTS, &values)]).await?;
        }
        Ok(())
    }

    /// Checks, if versions were added, that the history is not larger than the quota: the clean-up would delete its oldest
    /// versions.
    pub(super) async fn check_history(&self) -> Result<Result<(), String>, TransferError> {
        let Some(limit) = self
            .held_before
            .limit(self.default_quota)
            .filter(|_| self.history.count.versions + self.history.count.changes > 0)
        else {
            return Ok(Ok(()));
        };
        let project: [Value<'_>; 1] = [&self.caller.project.0];
        let rows = self.transaction.run(&[Query::new(BYTES, &project)]).await?;
        let bytes: i64 = answer(&rows, 0).first().map_or(Ok(0), |row| column(row, 0))?;
        if bytes <= limit {
            return Ok(Ok(()));
        }
        Ok(Err(format!(
            "the history of the project would have {bytes} bytes, and its quota is {limit}, so nothing was written; leave the \
             history out with --no-history, or set a higher quota with `memory-bank-mcp projects set-quota`"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::has_null_escape;

    #[test]
    fn only_a_null_character_is_found_and_no_text_about_one() {
        for (text, has_one) in
            [("a\0", true), ("\\\0", true), ("\\u0000", false), ("\\\\u0000 \\u000", false)]
        {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(has_null_escape(&json), has_one, "{json}");
        }
    }
}
