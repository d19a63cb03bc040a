//! Events for replay: stored for many tenants with one statement, read by their owner through row-level security.

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{Caller, ProjectId, Rights, UserId};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::KeyHash;
use memory_bank_core::store::{Event, EventId, EventOwner, EventStore, SessionId};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::column::{answer, column};
use crate::database::Database;
use crate::tenant::{CallError, Query, proof_of};

const APPEND: &str = "SELECT app.append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const TRIM: &str = "SELECT app.trim_events($1, $2, $3, $4, $5)";
// A message is stored as a JSON string; former versions stored an object where jsonb could hold it.
const AFTER: &str = "SELECT place, last, user_id, project_id, created_at, needs, \
    CASE WHEN jsonb_typeof(message) = 'string' THEN message #>> '{}' ELSE message::text END \
    FROM public.mcp_events WHERE session_id = $1 AND stream_id = $2 AND place > $3 AND user_id = $4 AND project_id = $5 \
    ORDER BY place LIMIT $6";

#[async_trait]
impl EventStore for Database {
    async fn append(&self, events: &[Event]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        match self.append_all(events).await {
            // The others must not be lost with it.
            Err(error) if is_stored_already(&error) => {}
            outcome => return Ok(outcome?),
        }
        for event in events {
            match self.append_all(std::slice::from_ref(event)).await {
                Err(error) if is_stored_already(&error) => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    async fn after(
        &self,
        caller: &Caller,
        session: SessionId,
        after: EventId,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let (place, most) = (i64::from(after.place), i64::try_from(limit).unwrap_or(i64::MAX));
        let values: [crate::tenant::Value<'_>; 6] =
            [&session.0, &after.stream, &place, &caller.user.0, &caller.project.0, &most];
        let rows = self.read_own(caller, &[Query::new(AFTER, &values)]).await?;
        answer(&rows, 0).iter().map(|row| event(row, session, after.stream)).collect()
    }

    async fn trim(&self, owner: EventOwner, proof: Option<KeyHash>, most: usize) -> Result<bool, StoreError> {
        let (session, most) = (owner.session.map(|id| id.0), i64::try_from(most).unwrap_or(i64::MAX));
        let proof = proof_of(proof.as_ref());
        let values: [crate::tenant::Value<'_>; 5] =
            [&proof, &owner.user.0, &owner.project.0, &session, &most];
        let rows = self.call(Query::new(TRIM, &values)).await?;
        let removed: Option<i64> = rows.first().map(|row| column(row, 0)).transpose()?.flatten();
        Ok(removed.is_some())
    }
}

impl Database {
    /// Stores all events, or none where one is stored already.
    async fn append_all(&self, events: &[Event]) -> Result<(), CallError> {
        let proofs: Vec<&[u8]> = events.iter().map(|event| proof_of(event.proof.as_ref())).collect();
        let sessions: Vec<Uuid> = events.iter().map(|event| event.session.0).collect();
        let streams: Vec<Uuid> = events.iter().map(|event| event.id.stream).collect();
        let places: Vec<i64> = events.iter().map(|event| i64::from(event.id.place)).collect();
        let last: Vec<bool> = events.iter().map(|event| event.last).collect();
        let users: Vec<Uuid> = events.iter().map(|event| event.user.0).collect();
        let projects: Vec<Uuid> = events.iter().map(|event| event.project.0).collect();
        let messages: Vec<&str> = events.iter().map(|event| event.message.as_str()).collect();
        let at: Vec<Timestamp> = events.iter().map(|event| event.at).collect();
        let needs: Vec<i16> = events.iter().map(|event| i16::from(event.needs.bits())).collect();
        let values: [crate::tenant::Value<'_>; 10] =
            [&proofs, &sessions, &streams, &places, &last, &users, &projects, &messages, &at, &needs];
        self.call(Query::new(APPEND, &values)).await?;
        Ok(())
    }
}

fn is_stored_already(error: &CallError) -> bool {
    matches!(error, CallError::Database(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
}

fn event(row: &Row, session: SessionId, stream: Uuid) -> Result<Event, StoreError> {
    let place: i64 = column(row, 0)?;
    let needs: i16 = column(row, 5)?;
    Ok(Event {
        id: EventId { stream, place: u32::try_from(place).unwrap_or(u32::MAX) },
        session,
        last: column(row, 1)?,
        user: UserId(column(row, 2)?),
        project: ProjectId(column(row, 3)?),
        proof: None,
        at: column(row, 4)?,
        needs: u8::try_from(needs).map_or(Rights::ALL, Rights::from_bits),
        message: column(row, 6)?,
    })
}
