//! The graph as it was at a time: the present rows, and from the history those that changed since.

use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::history::FormerItems;
use memory_bank_core::limits;
use memory_bank_core::store::{GraphSize, GraphThen};

use super::rows::item_of;
use crate::bank::PostgresBank;
use crate::column::{answer, column, count};
use crate::tenant::{Query, Value};

/// The rows of the graph and of its changes since a time, and their bytes.
const SIZE: &str = "SELECT count(*), coalesce(sum(f.bytes), 0)::bigint FROM ( \
    SELECT octet_length(name) + coalesce(octet_length(attrs::text), 0) AS bytes FROM public.graph_entities WHERE project_id = $1 \
    UNION ALL SELECT octet_length(content) + coalesce(octet_length(source::text), 0) + coalesce(octet_length(bounds::text), 0) \
    FROM public.graph_observations WHERE project_id = $1 \
    UNION ALL SELECT octet_length(relation_type) FROM public.graph_relations WHERE project_id = $1 \
    UNION ALL SELECT coalesce(octet_length(former::text), 0) FROM app.graph_history WHERE project_id = $1 AND at >= $2) AS f";
/// How many changes there ever were, also without history; then of the changes that the history has the last one before a time, the last
/// one that a transfer brought, the first one of the project itself, and how many of either are of the time or later.
const EXTENT: &str = "SELECT coalesce((SELECT v.changes FROM app.graph_versions v WHERE v.project_id = $1), 0), \
    coalesce(max(h.number) FILTER (WHERE h.at < $2), 0), coalesce(max(h.number) FILTER (WHERE h.imported_by IS NOT NULL), 0), \
    min(h.number) FILTER (WHERE h.imported_by IS NULL), count(*) FILTER (WHERE h.at >= $2 AND h.imported_by IS NOT NULL), \
    count(*) FILTER (WHERE h.at >= $2 AND h.imported_by IS NULL) FROM app.graph_history h WHERE h.project_id = $1";
/// The items that changed at a time or later, as they were before.
const FORMER: &str = "SELECT DISTINCT ON (h.entity_id, h.id) h.kind, h.id, h.at, h.former::text FROM app.graph_history h \
    WHERE h.project_id = $1 AND h.at >= $2 ORDER BY h.entity_id, h.id, h.number LIMIT $3";

impl PostgresBank {
    /// How much there is to read.
    pub(super) async fn read_size(&self, caller: &Caller, until: Timestamp) -> Result<GraphSize, StoreError> {
        let project: Value<'_> = &caller.project.0;
        let values: [Value<'_>; 2] = [project, &until];
        let queries = [Query::new(SIZE, &values), Query::new(EXTENT, &values[..2])];
        let rows = self.database.read(caller, &queries).await?;
        let (items, bytes): (i64, i64) = match answer(&rows, 0).first() {
            Some(row) => (column(row, 0)?, column(row, 1)?),
            None => (0, 0),
        };
        let extent = HistorySize::of(answer(&rows, 1))?;
        let rest = count(items).saturating_mul(limits::GRAPH_ROW_BYTES);
        Ok(GraphSize { bytes: count(bytes).saturating_add(rest), is_unchanged: extent.is_unchanged() })
    }

    /// The graph before all changes since a time.
    pub(super) async fn read_before(
        &self,
        caller: &Caller,
        until: Timestamp,
    ) -> Result<Option<GraphThen>, StoreError> {
        // A change between the two reads is taken back as any other.
        let now = self.whole_graph(caller).await?;
        let most = i64::try_from(limits::PAST_GRAPH_BYTES / limits::GRAPH_ROW_BYTES).unwrap_or(i64::MAX);
        let values: [Value<'_>; 3] = [&caller.project.0, &until, &most];
        let queries = [Query::new(FORMER, &values), Query::new(EXTENT, &values[..2])];
        let rows = self.database.read(caller, &queries).await?;
        let mut former = FormerItems::before(until);
        for row in answer(&rows, 0) {
            former.note(column(row, 2)?, column(row, 1)?, item_of(column(row, 0)?, column(row, 3)?)?);
        }
        if former.are_too_many() || i64::try_from(answer(&rows, 0).len()).is_ok_and(|read| read >= most) {
            return Ok(None);
        }
        let is_whole = HistorySize::of(answer(&rows, 1))?.is_whole();
        let made = tokio::task::spawn_blocking(move || former.graph(&now)).await;
        let state = made.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Some(GraphThen { state, is_whole }))
    }
}

/// What the history of the graph has of a time.
#[derive(Debug, Default)]
struct HistorySize {
    changes: i64,
    before: i64,
    imported: i64,
    first_own: Option<i64>,
    imported_since: i64,
    own_since: i64,
}

impl HistorySize {
    fn of(rows: &[tokio_postgres::Row]) -> Result<Self, StoreError> {
        let Some(row) = rows.first() else { return Ok(Self::default()) };
        Ok(Self {
            changes: column(row, 0)?,
            before: column(row, 1)?,
            imported: column(row, 2)?,
            first_own: column(row, 3)?,
            imported_since: column(row, 4)?,
            own_since: column(row, 5)?,
        })
    }

    /// Whether the history has all changes since: none was erased, or made without a history. A transfer writes its rows without a
    /// history, behind the changes that it brings, so there is a gap between these and the first change of the project itself.
    fn is_whole(&self) -> bool {
        let of_transfer = self.imported.saturating_sub(self.before).max(0);
        let own_from = match (self.imported, self.first_own) {
            (0, _) => self.before,
            (_, Some(first)) => self.before.max(first - 1),
            (_, None) => self.changes,
        };
        of_transfer == self.imported_since && self.changes.saturating_sub(own_from) == self.own_since
    }

    fn is_unchanged(&self) -> bool {
        self.is_whole() && self.imported_since + self.own_since == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_whole_if_no_number_since_is_missing() {
        let own = |changes, before, first_own, own_since| {
            HistorySize { changes, before, first_own, own_since, ..HistorySize::default() }.is_whole()
        };
        assert!(
            own(0, 0, None, 0) && own(5, 5, Some(1), 0) && own(5, 2, Some(1), 3) && own(5, 0, Some(1), 5)
        );
        // Some were erased, or made without a history.
        assert!(!own(5, 2, Some(1), 2) && !own(5, 0, Some(2), 4) && !own(5, 0, None, 0));
        let brought = |before, first_own, imported_since, own_since| {
            let imported = 5;
            HistorySize { changes: 20, before, imported, first_own, imported_since, own_since }.is_whole()
        };
        assert!(brought(5, None, 0, 0) && brought(2, None, 3, 0) && brought(2, Some(18), 3, 3));
        assert!(brought(19, Some(18), 0, 1) && brought(5, Some(18), 0, 3));
        assert!(!brought(2, Some(18), 2, 3) && !brought(2, Some(18), 3, 2) && !brought(0, None, 4, 0));
    }
}
