//! The history of documents as rows, which triggers add (`migrations/003_functions.sql`).

mod thinning;

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{Caller, KeyId, Right};
use memory_bank_core::document::{DocumentEntry, DocumentPath, Etag};
use memory_bank_core::error::StoreError;
use memory_bank_core::history::{
    Chain, ChainQuery, Damage, Delta, Link, PastVersion, Step, Subject, Version, VersionKind, VersionPage,
    VersionQuery, VersionText, rebuild, tool_and_mark,
};
use memory_bank_core::limits;
use memory_bank_core::store::{DocumentAt, HistoryError, HistoryRetention, HistoryStore};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::bank::PostgresBank;
use crate::column::{answer, column};
use crate::database::Database;
use crate::documents::{document_of, entry_of, names_of};
use crate::tenant::{Query, Value};

/// The document of a name; and with it the deleted documents that had the name before, up to a limit.
const NAMED: &str = "SELECT app.document_named($1, $2)";
const ALL_NAMED: &str = "SELECT app.documents_named($1, $2, $3)";
/// The most documents of one name in a list.
const MAX_DOCUMENTS: i32 = 200;
const LIST: &str = "SELECT document_id, version, at, author, key_id, key_prefix, session_id, bytes, kind, tool, path, former_path, \
    etag, former_etag, replaced, former_bytes, imported FROM app.list_versions($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
/// [`LIST`] with the documents that the names of each version mean now, each name once.
const LIST_NAMED: &str = "WITH listed AS MATERIALIZED (SELECT * FROM app.list_versions($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)), \
    named AS MATERIALIZED (SELECT n.path, app.document_named($11, ARRAY[n.path]) AS id FROM (\
      SELECT path FROM listed UNION SELECT former_path FROM listed WHERE former_path IS NOT NULL) AS n) \
    SELECT l.document_id, l.version, l.at, l.author, l.key_id, l.key_prefix, l.session_id, l.bytes, l.kind, l.tool, l.path, \
      l.former_path, l.etag, l.former_etag, l.replaced, l.former_bytes, l.imported, n.id, f.id \
    FROM listed l LEFT JOIN named n ON n.path = l.path LEFT JOIN named f ON f.path = l.former_path \
    ORDER BY l.at DESC, l.version DESC, l.document_id DESC";
/// The columns of [`LIST`] with the steps back, of the latest versions of a document.
const CHAIN: &str = "SELECT document_id, version, at, author, key_id, key_prefix, session_id, bytes, kind, tool, path, former_path, \
    etag, former_etag, replaced, former_bytes, imported, kept_start, kept_end, former \
    FROM app.document_chain($1, $2, $3, $4)";
/// How often a chain is read until it fits the document.
const CHAIN_TRIES: usize = 3;
/// The document as it is now.
const NOW: &str =
    "SELECT path, content, version, updated_at FROM public.documents WHERE project_id = $1 AND id = $2";
/// All documents, and who made the last version of the newest ones: the database looks up few, in one call. `OFFSET 0` computes
/// the sizes first, so that the sort carries no texts.
const LIST_WITH_AUTHORS: &str = "WITH listed AS (SELECT d.*, row_number() OVER (ORDER BY updated_at DESC, path) AS place FROM (\
      SELECT id, path, octet_length(content)::bigint AS bytes, updated_at, version FROM public.documents \
      WHERE project_id = $1 OFFSET 0) AS d), \
    newest AS (SELECT array_agg(id) AS ids, array_agg(version) AS versions FROM listed WHERE place <= $2) \
    SELECT l.path, l.bytes, l.updated_at, a.author FROM listed l LEFT JOIN (\
      SELECT f.document_id, f.author FROM newest n CROSS JOIN LATERAL app.authors_of(n.ids, n.versions) AS f\
    ) AS a ON a.document_id = l.id ORDER BY l.path";
/// Whether a document has or had one of these names.
const HAD_NAME: &str = "SELECT EXISTS (SELECT FROM public.documents WHERE project_id = $1 AND id = $2 AND path = ANY ($3)) \
    OR EXISTS (SELECT FROM app.document_versions WHERE project_id = $1 AND document_id = $2 \
      AND (path = ANY ($3) OR former_path = ANY ($3)))";
/// The range of the versions of a document.
const RANGE: &str =
    "SELECT min(version), max(version) FROM app.document_versions WHERE project_id = $1 AND document_id = $2";
/// The steps back to a version, newest first: from the first whole text after it, or from the current text.
const STEPS: &str = "SELECT version, kept_start, kept_end, former, former_etag, etag FROM app.document_versions \
    WHERE project_id = $1 AND document_id = $2 AND version > $3 AND version <= coalesce((\
      SELECT min(version) FROM app.document_versions WHERE project_id = $1 AND document_id = $2 AND version > $3 \
      AND kept_start = 0 AND kept_end = 0), 9223372036854775807) ORDER BY version DESC";
/// For each document with versions, the last one before a time, the first one from then on, and its name now.
const AT: &str = "WITH former AS (\
      SELECT DISTINCT ON (document_id) document_id, version, path, at, kind, etag, bytes FROM app.document_versions \
      WHERE project_id = $1 AND at < $2 ORDER BY document_id, version DESC), \
    later AS (\
      SELECT DISTINCT ON (document_id) document_id, version, path, at, kind, etag, bytes FROM app.document_versions \
      WHERE project_id = $1 AND at >= $2 ORDER BY document_id, version) \
    SELECT document_id, f.version, f.path, f.at, f.kind, f.etag, f.bytes, l.version, l.path, l.at, l.kind, l.etag, l.bytes, d.path \
    FROM former f FULL JOIN later l USING (document_id) \
    LEFT JOIN public.documents d ON d.project_id = $1 AND d.id = document_id";
/// The current text.
const CURRENT: &str = "SELECT content, version FROM public.documents WHERE project_id = $1 AND id = $2";
const TRIM: &str = "SELECT app.trim_history($1)";
const STATE_BOUNDS: &str = "SELECT app.state_history_bounds($1, $2)";
const ERASE: &str =
    "SELECT coalesce(sum(app.erase_history(d)), 0)::bigint FROM unnest($1::uuid[]) AS named (d)";

#[async_trait]
impl HistoryStore for PostgresBank {
    fn keeps_history(&self) -> bool {
        self.database.keeps_history
    }

    async fn list_versions(
        &self,
        caller: &Caller,
        query: &VersionQuery,
    ) -> Result<VersionPage, HistoryError> {
        let documents = match &query.subject {
            Subject::Document(path) => Some(vec![self.document_named(caller, path).await?]),
            Subject::Name(path) => Some(self.documents_named(caller, path).await?),
            Subject::Project | Subject::Session(_) => None,
        };
        let session = match &query.subject {
            // No session has another form of id.
            Subject::Session(id) => match id.parse::<Uuid>() {
                Ok(id) => Some(id),
                Err(_) => return Ok(VersionPage::default()),
            },
            _ => None,
        };
        let limit = query.limit.clamp(1, limits::VERSIONS_LISTED);
        let most = i32::try_from(limit + 1).unwrap_or(i32::MAX);
        let (after, after_version, after_document) = match &query.after {
            Some(place) => (Some(place.at), Some(place.number), place.document.parse::<Uuid>().ok()),
            None => (None, None, None),
        };
        let values: [Value<'_>; 11] = [
            &documents,
            &None::<i64>,
            &session,
            &query.since,
            &query.until,
            &query.by,
            &after,
            &after_version,
            &after_document,
            &most,
            &caller.project.0,
        ];
        let rows = self.database.read(caller, &[Query::new(LIST_NAMED, &values)]).await?;
        let named = named_now(answer(&rows, 0))?;
        let listed: Vec<Listed> = answer(&rows, 0).iter().map(listed).collect::<Result<_, _>>()?;
        let more = listed.len() > limit;
        let document = documents.as_ref().and_then(|documents| documents.first());
        let mut page =
            VersionPage { document: document.map(Uuid::to_string), named, ..VersionPage::default() };
        for one in listed.iter().take(limit) {
            page.versions.push(one.version.clone());
        }
        if more {
            page.next = listed.get(limit - 1).map(|last| last.version.position());
        } else if query.since.is_none() && query.by.is_none() {
            // The oldest version of each.
            for document in documents.iter().flatten() {
                let first = listed.iter().rfind(|one| one.document == *document);
                page.versions.extend(first.and_then(Listed::before_history));
            }
        }
        Ok(page)
    }

    async fn read_version(
        &self,
        caller: &Caller,
        path: &DocumentPath,
        number: i64,
    ) -> Result<VersionText, HistoryError> {
        let document = self.document_named(caller, path).await?;
        self.version_of(caller, document, path, number, false).await
    }

    async fn read_version_of(
        &self,
        caller: &Caller,
        document: &str,
        path: &DocumentPath,
        number: i64,
    ) -> Result<VersionText, HistoryError> {
        let document = document.parse().map_err(|_| HistoryError::NoDocument(path.clone()))?;
        self.version_of(caller, document, path, number, true).await
    }

    async fn versions_at(&self, caller: &Caller, until: Timestamp) -> Result<Vec<DocumentAt>, HistoryError> {
        let values: [Value<'_>; 2] = [&caller.project.0, &until];
        let rows = self.database.read(caller, &[Query::new(AT, &values)]).await?;
        answer(&rows, 0).iter().map(|row| Ok(document_at(row)?)).collect()
    }

    async fn list_with_authors(
        &self,
        caller: &Caller,
        most: usize,
    ) -> Result<(Vec<DocumentEntry>, BTreeMap<String, String>), StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let values: [Value<'_>; 2] = [&caller.project.0, &most];
        let rows = self.database.read(caller, &[Query::new(LIST_WITH_AUTHORS, &values)]).await?;
        let (mut entries, mut authors) = (Vec::new(), BTreeMap::new());
        for row in answer(&rows, 0) {
            let entry = entry_of(row)?;
            if let Some(author) = column::<Option<String>>(row, 3)? {
                authors.insert(entry.name.clone(), author);
            }
            entries.push(entry);
        }
        Ok((entries, authors))
    }

    async fn chain(&self, caller: &Caller, query: &ChainQuery) -> Result<Chain, HistoryError> {
        let missing = || HistoryError::NoDocument(query.path.clone());
        let document: Uuid = query.document.parse().map_err(|_| missing())?;
        let most = i32::try_from(query.most.min(limits::CHAIN_VERSIONS)).unwrap_or(i32::MAX);
        let bytes = i64::try_from(limits::CHAIN_BYTES).unwrap_or(i64::MAX);
        let chain: [Value<'_>; 4] = [&document, &query.from, &most, &bytes];
        let now: [Value<'_>; 2] = [&caller.project.0, &document];
        let mut tries = 0;
        loop {
            tries += 1;
            let rows =
                self.database.read(caller, &[Query::new(CHAIN, &chain), Query::new(NOW, &now)]).await?;
            let links = answer(&rows, 0).iter().map(link).collect::<Result<Vec<_>, StoreError>>()?;
            let Some(newest) = links.first() else { return Err(missing()) };
            let current = answer(&rows, 1).first().map(document_of).transpose()?;
            // The document may change between the two statements.
            let fits = newest.version.etag.as_ref() == current.as_ref().map(|document| &document.etag);
            if fits || tries == CHAIN_TRIES {
                return Ok(Chain { links, current });
            }
        }
    }

    async fn erase(&self, caller: &Caller, path: &DocumentPath) -> Result<u64, HistoryError> {
        if !caller.may(Right::Admin) {
            return Err(StoreError::Denied.into());
        }
        let names = names_of(std::slice::from_ref(path));
        let named: [Value<'_>; 3] = [&caller.project.0, &names, &None::<i32>];
        let (transaction, rows) =
            self.database.begin(caller, &[Query::new(ALL_NAMED, &named)]).await.map_err(StoreError::from)?;
        let documents = named_in(answer(&rows, 0))?;
        if documents.is_empty() {
            transaction.roll_back().await;
            return Err(HistoryError::NoDocument(path.clone()));
        }
        let rows = transaction.commit(&[Query::new(ERASE, &[&documents])]).await.map_err(StoreError::from)?;
        let erased: i64 = answer(&rows, 0).first().map_or(Ok(0), |row| column(row, 0))?;
        self.database.recent_contents.forget(|(project, _)| *project == caller.project);
        Ok(u64::try_from(erased).unwrap_or_default())
    }
}

#[async_trait]
impl HistoryRetention for Database {
    async fn thin_versions(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.state_bounds().await?;
        let versions = self.thin_documents(before, limit).await?;
        Ok(versions + self.thin_graph(before, limit.saturating_sub(versions)).await?)
    }

    async fn trim_versions(&self, limit: usize) -> Result<usize, StoreError> {
        self.state_bounds().await?;
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        deleted(&self.call(Query::new(TRIM, &[&most])).await?)
    }
}

impl Database {
    /// States the settings by which the functions of the clean-up decide.
    async fn state_bounds(&self) -> Result<(), StoreError> {
        let days = i32::try_from(self.history_days).unwrap_or(i32::MAX);
        let quota = i64::try_from(self.default_quota).unwrap_or(i64::MAX);
        self.call(Query::new(STATE_BOUNDS, &[&days, &quota])).await?;
        Ok(())
    }
}

/// The number in the only row; none if another server is cleaning up.
fn deleted(rows: &[Row]) -> Result<usize, StoreError> {
    let deleted: Option<i64> = rows.first().map(|row| column(row, 0)).transpose()?.flatten();
    Ok(usize::try_from(deleted.unwrap_or_default()).unwrap_or_default())
}

impl PostgresBank {
    async fn document_named(&self, caller: &Caller, path: &DocumentPath) -> Result<Uuid, HistoryError> {
        let names = names_of(std::slice::from_ref(path));
        let named: [Value<'_>; 2] = [&caller.project.0, &names];
        let rows = self.database.read(caller, &[Query::new(NAMED, &named)]).await?;
        let document = answer(&rows, 0).first().map(|row| column::<Option<Uuid>>(row, 0)).transpose()?;
        document.flatten().ok_or_else(|| HistoryError::NoDocument(path.clone()))
    }

    /// The document of a name, and after it the deleted documents that had the name before.
    async fn documents_named(&self, caller: &Caller, path: &DocumentPath) -> Result<Vec<Uuid>, HistoryError> {
        let names = names_of(std::slice::from_ref(path));
        let named: [Value<'_>; 3] = [&caller.project.0, &names, &Some(MAX_DOCUMENTS)];
        let rows = self.database.read(caller, &[Query::new(ALL_NAMED, &named)]).await?;
        let documents = named_in(answer(&rows, 0))?;
        if documents.is_empty() { Err(HistoryError::NoDocument(path.clone())) } else { Ok(documents) }
    }

    /// `expects_name`: the document must have or have had the name.
    async fn version_of(
        &self,
        caller: &Caller,
        document: Uuid,
        path: &DocumentPath,
        number: i64,
        expects_name: bool,
    ) -> Result<VersionText, HistoryError> {
        let project = caller.project.0;
        let next = number.saturating_add(1);
        let none = (None::<Uuid>, None::<Timestamp>, None::<String>, None::<i64>);
        let documents = [document];
        let documents = &documents[..];
        let own = single_version_parameters(&documents, &number, &none);
        let after = single_version_parameters(&documents, &next, &none);
        let steps: [Value<'_>; 3] = [&project, &document, &number];
        let range: [Value<'_>; 2] = [&project, &document];
        let names = names_of(std::slice::from_ref(path));
        let named: [Value<'_>; 3] = [&project, &document, &names];
        let queries = [
            Query::new(LIST, &own),
            Query::new(LIST, &after),
            Query::new(STEPS, &steps),
            Query::new(CURRENT, &range),
            Query::new(RANGE, &range),
            Query::new(HAD_NAME, &named),
        ];
        let rows = self.database.read(caller, &queries).await?;
        let had_name = answer(&rows, 5).first().map_or(Ok(false), |row| column(row, 0))?;
        if expects_name && !had_name {
            return Err(HistoryError::NoDocument(path.clone()));
        }
        let version = match answer(&rows, 0).first() {
            Some(row) => Some(listed(row)?.version),
            None => match answer(&rows, 1).first() {
                Some(row) => listed(row)?.before_history(),
                None => None,
            },
        };
        let Some(version) = version else { return Err(no_version(path, number, answer(&rows, 4))?) };
        let Some(etag) = version.etag.clone() else { return Ok(VersionText { version, text: None }) };
        let current = answer(&rows, 3).first().map(|row| column::<String>(row, 0)).transpose()?;
        let damaged = |damage| HistoryError::Damaged { path: path.clone(), number, damage };
        let steps = answer(&rows, 2).iter().map(step).collect::<Result<Vec<_>, HistoryError>>()?;
        let text = rebuild(current.as_deref(), &steps).map_err(damaged)?;
        if Etag::of(&text) != etag {
            return Err(damaged(Damage::Text { number: next, expected: etag }));
        }
        Ok(VersionText { version, text: Some(text) })
    }
}

/// The documents of [`ALL_NAMED`].
fn named_in(rows: &[Row]) -> Result<Vec<Uuid>, StoreError> {
    Ok(rows.first().map(|row| column::<Option<Vec<Uuid>>>(row, 0)).transpose()?.flatten().unwrap_or_default())
}

/// The documents that the names of listed versions mean now, from rows of [`LIST_NAMED`].
fn named_now(rows: &[Row]) -> Result<BTreeMap<DocumentPath, String>, StoreError> {
    let mut named = BTreeMap::new();
    for (row, (path, document)) in rows.iter().flat_map(|row| [(row, (10, 17)), (row, (11, 18))]) {
        let path = column::<Option<&str>>(row, path)?.map(name_of).transpose()?;
        let document = column::<Option<Uuid>>(row, document)?;
        named.extend(path.zip(document.map(|document| document.to_string())));
    }
    Ok(named)
}

type NullParameters = (Option<Uuid>, Option<Timestamp>, Option<String>, Option<i64>);

/// The parameters of [`LIST`] that select one version.
fn single_version_parameters<'a>(
    document: &'a &'a [Uuid],
    number: &'a i64,
    none: &'a NullParameters,
) -> [Value<'a>; 10] {
    [document, number, &none.0, &none.1, &none.1, &none.2, &none.1, &none.3, &none.0, &1i32]
}

/// A row of [`LIST`].
struct Listed {
    document: Uuid,
    version: Version,
    former_etag: Option<Etag>,
    former_bytes: u64,
}

impl Listed {
    /// The text before the first version, if the document is older than its history.
    fn before_history(&self) -> Option<Version> {
        let etag = self.former_etag.clone()?;
        Some(self.version.before_history(etag, self.former_bytes))
    }
}

pub(crate) fn name_of(name: &str) -> Result<DocumentPath, StoreError> {
    DocumentPath::parse(name).map_err(|error| StoreError::Damaged {
        what: "the name of a version".to_owned(),
        detail: error.to_string(),
    })
}

fn kind_of(kind: &str) -> Result<VersionKind, StoreError> {
    VersionKind::from_word(kind).ok_or_else(|| StoreError::Damaged {
        what: "a version".to_owned(),
        detail: format!("its kind is `{kind}`"),
    })
}

fn bytes_at(row: &Row, at: usize) -> Result<u64, StoreError> {
    let bytes: Option<i32> = column(row, at)?;
    Ok(u64::try_from(bytes.unwrap_or_default()).unwrap_or_default())
}

/// A row of [`AT`].
fn document_at(row: &Row) -> Result<DocumentAt, StoreError> {
    let document: Uuid = column(row, 0)?;
    let version = |from: usize| -> Result<Option<PastVersion>, StoreError> {
        let Some(number) = column::<Option<i64>>(row, from)? else { return Ok(None) };
        Ok(Some(PastVersion {
            document: document.to_string(),
            number,
            path: name_of(column(row, from + 1)?)?,
            at: column(row, from + 2)?,
            kind: kind_of(column(row, from + 3)?)?,
            etag: column::<Option<&str>>(row, from + 4)?.map(Etag::claimed),
            bytes: bytes_at(row, from + 5)?,
        }))
    };
    let now = column::<Option<&str>>(row, 13)?.map(name_of).transpose()?;
    Ok(DocumentAt { then: version(1)?, next: version(7)?, now })
}

fn listed(row: &Row) -> Result<Listed, StoreError> {
    let path = name_of;
    let etag = |at: usize| Ok::<_, StoreError>(column::<Option<&str>>(row, at)?.map(Etag::claimed));
    let bytes = |at: usize| bytes_at(row, at);
    let kind = kind_of(column(row, 8)?)?;
    let document: Uuid = column(row, 0)?;
    // A version that was added only so that earlier ones can be rebuilt has no tool.
    let tool = column::<Option<&str>>(row, 9)?.filter(|tool| *tool != "-");
    let (tool, undoes) = tool_and_mark(tool);
    let version = Version {
        document: document.to_string(),
        number: column(row, 1)?,
        at: column(row, 2)?,
        author: column(row, 3)?,
        key: column::<Option<Uuid>>(row, 4)?.map(KeyId),
        key_prefix: column(row, 5)?,
        session: column::<Option<Uuid>>(row, 6)?.map(|session| session.to_string()),
        bytes: bytes(7)?,
        kind,
        tool,
        undoes,
        path: path(column(row, 10)?)?,
        former_path: column::<Option<&str>>(row, 11)?.map(path).transpose()?,
        etag: etag(12)?,
        replaced: bytes(14)?,
        imported: column(row, 16)?,
    };
    Ok(Listed { document, version, former_etag: etag(13)?, former_bytes: bytes(15)? })
}

/// A row of [`CHAIN`].
pub(crate) fn link(row: &Row) -> Result<Link, StoreError> {
    let Listed { version, former_etag, .. } = listed(row)?;
    let number = version.number;
    let back = match &former_etag {
        Some(_) => Some(delta(row, number, 17)?),
        None => None,
    };
    Ok(Link { version, former: former_etag, back })
}

/// A row of [`STEPS`].
fn step(row: &Row) -> Result<Step, HistoryError> {
    let number: i64 = column(row, 0)?;
    let before = column::<Option<&str>>(row, 4)?.unwrap_or_default();
    Ok(Step { number, delta: delta(row, number, 1)?, before: Etag::claimed(before) })
}

/// The columns `kept_start, kept_end, former` from this one on.
fn delta(row: &Row, number: i64, at: usize) -> Result<Delta, StoreError> {
    let damaged =
        |detail: &str| StoreError::Damaged { what: format!("version {number}"), detail: detail.to_owned() };
    let length =
        |at: usize| usize::try_from(column::<i32>(row, at)?).map_err(|_| damaged("a length is negative"));
    let former: Option<Vec<u8>> = column(row, at + 2)?;
    let former = String::from_utf8(former.unwrap_or_default()).map_err(|_| damaged("it is not UTF-8"))?;
    Ok(Delta::from_parts(length(at)?, length(at + 1)?, former))
}

/// Why there is no version of this number, from the result of [`RANGE`].
fn no_version(path: &DocumentPath, number: i64, range: &[Row]) -> Result<HistoryError, StoreError> {
    let end = |at: usize| range.first().map_or(Ok(None), |row| column::<Option<i64>>(row, at));
    Ok(match (end(0)?, end(1)?) {
        (Some(oldest), Some(newest)) => {
            HistoryError::NoVersion { path: path.clone(), number, oldest, newest }
        }
        _ => HistoryError::NoDocument(path.clone()),
    })
}
