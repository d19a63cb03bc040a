//! Sessions as rows, so that any replica serves any session.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{Caller, ProjectId, UserId};
use memory_bank_core::error::StoreError;
use memory_bank_core::limits;
use memory_bank_core::store::{
    SessionError, SessionId, SessionLimits, SessionRecord, SessionStore, SessionUse,
};
use serde_json::{Value as Json, json};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::column::{answer, column};
use crate::database::Database;
use crate::tenant::{Query, Value, proof_of};

const OPEN: &str =
    "SELECT outcome, ended FROM app.open_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const FIND: &str = "SELECT id, user_id, project_id, metadata, subscriptions, created_at, last_seen, expires_at \
    FROM public.sessions WHERE id = $1 AND user_id = $2 AND project_id = $3 AND expires_at > $4";
const SUBSCRIBE: &str = "SELECT id, user_id, project_id, metadata, subscriptions, created_at, last_seen, expires_at \
    FROM app.subscribe_session($1, $2, $3, $4, $5, $6, $7)";
const CLOSE: &str = "SELECT app.close_session($1, $2, $3, $4)";
const TOUCH: &str = "SELECT app.touch_sessions($1, $2, $3, $4)";
const PURGE: &str = "SELECT app.purge($1, $2, $3)";

#[async_trait]
impl SessionStore for Database {
    async fn open(
        &self,
        caller: &Caller,
        session: &SessionRecord,
        limits: SessionLimits,
    ) -> Result<Option<SessionId>, SessionError> {
        let metadata = without_nulls(json!({
            "protocolVersion": session.protocol_version,
            "client": session.client,
            "metadata": session.metadata,
        }));
        let subscriptions: Vec<&String> = session.subscriptions.iter().collect();
        let [most, most_of_key] =
            [limits.per_project, limits.per_key].map(|most| i64::try_from(most).unwrap_or(i64::MAX));
        let rows = self
            .call(Query::new(
                OPEN,
                &[
                    &proof_of(caller.proof.as_ref()),
                    &session.id.0,
                    &caller.user.0,
                    &caller.project.0,
                    &metadata,
                    &subscriptions,
                    &session.created_at,
                    &session.expires_at,
                    &most,
                    &most_of_key,
                    &limits.idle_before,
                ],
            ))
            .await
            .map_err(StoreError::from)?;
        let outcome: String = first(&rows)?.unwrap_or_default();
        let ended: Option<Uuid> = rows.first().map(|row| column(row, 1)).transpose()?.flatten();
        match outcome.as_str() {
            "opened" => Ok(ended.map(SessionId)),
            "key_full" => Err(SessionError::TooManyOfKey(limits.per_key)),
            "project_full" => Err(SessionError::TooMany(limits.per_project)),
            other => Err(StoreError::Unavailable(format!("app.open_session gave `{other}`")).into()),
        }
    }

    async fn find(
        &self,
        caller: &Caller,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let values: [Value<'_>; 4] = [&id.0, &caller.user.0, &caller.project.0, &now];
        let query = Query::new(FIND, &values);
        let rows = self.read_own(caller, &[query]).await?;
        answer(&rows, 0).first().map(session).transpose()
    }

    async fn subscribe(
        &self,
        caller: &Caller,
        id: SessionId,
        uri: &str,
        subscribed: bool,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let most = i32::try_from(limits::SUBSCRIPTIONS).unwrap_or(i32::MAX);
        let uri = uri.replace('\0', "\u{fffd}");
        let proof = proof_of(caller.proof.as_ref());
        let values: [Value<'_>; 7] =
            [&proof, &id.0, &caller.user.0, &caller.project.0, &uri, &subscribed, &most];
        let rows = self.call(Query::new(SUBSCRIBE, &values)).await?;
        rows.first().map(session).transpose()
    }

    async fn end(&self, caller: &Caller, id: SessionId) -> Result<bool, StoreError> {
        let proof = proof_of(caller.proof.as_ref());
        let rows = self.call(Query::new(CLOSE, &[&proof, &id.0, &caller.user.0, &caller.project.0])).await?;
        Ok(first(&rows)?.unwrap_or_default())
    }

    async fn record_uses(&self, uses: &[SessionUse]) -> Result<(), StoreError> {
        if uses.is_empty() {
            return Ok(());
        }
        let proofs: Vec<&[u8]> = uses.iter().map(|used| proof_of(used.proof.as_ref())).collect();
        let ids: Vec<Uuid> = uses.iter().map(|used| used.session.0).collect();
        let at: Vec<Timestamp> = uses.iter().map(|used| used.at).collect();
        let until: Vec<Timestamp> = uses.iter().map(|used| used.expires_at).collect();
        self.call(Query::new(TOUCH, &[&proofs, &ids, &at, &until])).await?;
        Ok(())
    }

    async fn clean_up(
        &self,
        now: Timestamp,
        events_before: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.maintain_event_partitions(now, events_before).await?;
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.call(Query::new(PURGE, &[&now, &events_before, &most])).await?;
        Ok(usize::try_from(first::<i64>(&rows)?.unwrap_or_default()).unwrap_or_default())
    }
}

fn first<'a, T: tokio_postgres::types::FromSql<'a>>(rows: &'a [Row]) -> Result<Option<T>, StoreError> {
    rows.first().map(|row| column(row, 0)).transpose()
}

fn session(row: &Row) -> Result<SessionRecord, StoreError> {
    let mut metadata: Json = column(row, 3)?;
    let mut take = |member: &str| metadata.get_mut(member).map(Json::take).unwrap_or_default();
    Ok(SessionRecord {
        id: SessionId(column(row, 0)?),
        user: UserId(column(row, 1)?),
        project: ProjectId(column(row, 2)?),
        protocol_version: take("protocolVersion").as_str().unwrap_or_default().to_owned(),
        client: take("client"),
        metadata: take("metadata"),
        subscriptions: column::<Vec<String>>(row, 4)?.into_iter().collect::<BTreeSet<_>>(),
        created_at: column(row, 5)?,
        last_seen: column(row, 6)?,
        expires_at: column(row, 7)?,
    })
}

/// `jsonb` cannot store a null character. Clients do not use it; it is replaced.
fn without_nulls(value: Json) -> Json {
    let clean = |text: String| if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    match value {
        Json::String(text) => Json::String(clean(text)),
        Json::Array(items) => items.into_iter().map(without_nulls).collect(),
        Json::Object(members) => {
            members.into_iter().map(|(key, value)| (clean(key), without_nulls(value))).collect()
        }
        other => other,
    }
}
