//! Keys: the look-up that makes a caller, and the management by owners. Only hashes are stored.

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{Caller, KeyId, ProjectId, Right, Role, UserId};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{
    KeyChange, KeyDirectory, KeyError, KeyHash, KeyIdentity, KeyRecord, KeyStore, KeyUse, NewKey, Revoked,
};
use memory_bank_core::limits;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::column::{answer, column};
use crate::database::Database;
use crate::tenant::{Failure, Query, Value};

const AUTHENTICATE: &str = "SELECT key_id, user_id, user_name, project_id, project_slug, role, scopes, rate_limit, \
    expires_at, revoked_at, expires_at <= now(), counted_as FROM app.authenticate($1)";
const TOUCH: &str = "SELECT app.touch_keys($1, $2)";
/// Revoked keys are never deleted, so there may be many: the newest of them follow the valid ones.
const LIST: &str = "SELECT * FROM ( \
    SELECT id, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, revoked_at \
    FROM public.api_keys WHERE project_id = $1 AND user_id = $2 AND grant_id IS NULL AND ($3 OR revoked_at IS NULL) \
    ORDER BY (revoked_at IS NULL AND (expires_at > now()) IS NOT FALSE) DESC, created_at DESC, id LIMIT $4 \
    ) AS listed ORDER BY created_at DESC, id";
const LOCK: &str = "SELECT id, app.own_key_hash(id), key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, \
    revoked_at FROM public.api_keys WHERE project_id = $1 AND user_id = $2 AND id = $3 AND grant_id IS NULL AND revoked_at IS NULL \
    FOR UPDATE";
const COUNT: &str = "SELECT count(*) FROM public.api_keys WHERE project_id = $1 AND grant_id IS NULL AND revoked_at IS NULL \
    AND (expires_at > $2) IS NOT FALSE";
const INSERT: &str = "INSERT INTO public.api_keys (id, user_id, project_id, key_hash, key_prefix, label, scopes, rate_limit, \
    expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
/// When a key ends that the caller makes, at the latest.
const BOUND: &str = "SELECT app.key_bound($1)";
const CHANGE: &str = "WITH changed AS (UPDATE public.api_keys SET label = $3, scopes = $4, rate_limit = $5 \
    WHERE project_id = $1 AND id = $2 RETURNING 1) SELECT app.must_be((SELECT count(*) FROM changed), 1)";
const REVOKE: &str = "WITH changed AS (UPDATE public.api_keys SET revoked_at = $3 WHERE project_id = $1 AND id = $2 RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM changed), 1)";
const REPLACE: &str = "SELECT app.must_be(app.replace_own_key($1, $2, $3, $4, $5, $6)::integer, 1)";

#[async_trait]
impl KeyDirectory for Database {
    async fn find(&self, presented: &KeyHash) -> Result<Option<KeyIdentity>, StoreError> {
        let hash: &[u8] = presented.as_bytes();
        let rows = self.call(Query::new(AUTHENTICATE, &[&hash])).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let project = ProjectId(column(row, 3)?);
        self.slugs.insert(project, column(row, 4)?);
        // Expiry is decided by the database's clock; the local clock may be slow.
        let expires_at: Option<Timestamp> = column(row, 8)?;
        let has_expired: Option<bool> = column(row, 10)?;
        let latest = has_expired.unwrap_or_default().then(|| self.deps.clock.now());
        Ok(Some(KeyIdentity {
            caller: Caller {
                key: Some(KeyId(column(row, 0)?)),
                proof: Some(*presented),
                user: UserId(column(row, 1)?),
                user_name: column(row, 2)?,
                is_read_only: false,
                project,
                role: role(column(row, 5)?)?,
                scopes: scopes(&column::<Vec<String>>(row, 6)?)?,
            },
            rate_limit: u32::try_from(column::<i32>(row, 7)?).unwrap_or_default(),
            expires_at: expires_at.map(|at| latest.map_or(at, |latest| at.min(latest))),
            revoked_at: column(row, 9)?,
            counted_as: column::<Option<Uuid>>(row, 11)?.map(KeyId),
        }))
    }

    async fn record_uses(&self, uses: &[KeyUse]) -> Result<(), StoreError> {
        if uses.is_empty() {
            return Ok(());
        }
        let keys: Vec<&[u8]> = uses.iter().map(|used| used.proof.as_bytes().as_slice()).collect();
        let at: Vec<Timestamp> = uses.iter().map(|used| used.at).collect();
        self.call(Query::new(TOUCH, &[&keys, &at])).await?;
        Ok(())
    }
}

#[async_trait]
impl KeyStore for Database {
    async fn list(&self, caller: &Caller, include_revoked: bool) -> Result<Vec<KeyRecord>, StoreError> {
        let most = i64::try_from(limits::KEYS_LISTED + 1).unwrap_or(i64::MAX);
        let values: [Value<'_>; 4] = [&caller.project.0, &caller.user.0, &include_revoked, &most];
        let query = Query::new(LIST, &values);
        let rows = self.read_own(caller, &[query]).await?;
        answer(&rows, 0).iter().map(|row| record(row, 0, 1)).collect()
    }

    async fn create(&self, caller: &Caller, key: &NewKey) -> Result<KeyRecord, KeyError> {
        let values: [Value<'_>; 2] = [&caller.project.0, &key.created_at];
        let nothing: [Value<'_>; 1] = [&None::<Uuid>];
        let queries = [Query::new(COUNT, &values), Query::new(BOUND, &nothing)];
        let (transaction, rows) = self.begin(caller, &queries).await.map_err(StoreError::from)?;
        let active: i64 = match answer(&rows, 0).first() {
            Some(row) => column(row, 0)?,
            None => 0,
        };
        if usize::try_from(active).unwrap_or(usize::MAX) >= limits::PROJECT_KEYS {
            transaction.roll_back().await;
            return Err(KeyError::TooMany(limits::PROJECT_KEYS));
        }
        let key = within(key, &rows)?;
        let row = NewRow::of(&key)?;
        transaction.commit(&[Query::new(INSERT, &row.values(caller))]).await.map_err(StoreError::from)?;
        Ok(record_of(&key))
    }

    async fn update(
        &self,
        caller: &Caller,
        id: KeyId,
        change: &KeyChange,
    ) -> Result<Option<Revoked>, StoreError> {
        let values: [Value<'_>; 3] = [&caller.project.0, &caller.user.0, &id.0];
        let lock = Query::new(LOCK, &values);
        let (transaction, rows) = self.begin(caller, &[lock]).await?;
        let Some(row) = answer(&rows, 0).first() else {
            transaction.roll_back().await;
            return Ok(None);
        };
        let mut changed = key(row, 0)?;
        let record = &mut changed.record;
        if let Some(label) = &change.label {
            record.label.clone_from(label);
        }
        if let Some(scopes) = &change.scopes {
            record.scopes.clone_from(scopes);
        }
        record.rate_limit = change.rate_limit.unwrap_or(record.rate_limit);
        let (scopes, limit) = (words(&record.scopes), limit(record.rate_limit)?);
        let label = clean(record.label.as_deref());
        let values: [Value<'_>; 5] = [&caller.project.0, &id.0, &label, &scopes, &limit];
        transaction.commit(&[Query::new(CHANGE, &values)]).await?;
        Ok(Some(changed))
    }

    async fn revoke(
        &self,
        caller: &Caller,
        id: KeyId,
        now: Timestamp,
    ) -> Result<Option<Revoked>, StoreError> {
        let values: [Value<'_>; 3] = [&caller.project.0, &caller.user.0, &id.0];
        let lock = Query::new(LOCK, &values);
        let (transaction, rows) = self.begin(caller, &[lock]).await?;
        let Some(row) = answer(&rows, 0).first() else {
            transaction.roll_back().await;
            return Ok(None);
        };
        let mut revoked = key(row, 0)?;
        revoked.record.revoked_at = Some(now);
        transaction.commit(&[Query::new(REVOKE, &[&caller.project.0, &id.0, &now])]).await?;
        Ok(Some(revoked))
    }

    async fn rotate(
        &self,
        caller: &Caller,
        id: KeyId,
        new: &NewKey,
    ) -> Result<Option<(KeyRecord, Revoked)>, KeyError> {
        let values: [Value<'_>; 3] = [&caller.project.0, &caller.user.0, &id.0];
        let replaced: [Value<'_>; 1] = [&id.0];
        let queries = [Query::new(LOCK, &values), Query::new(BOUND, &replaced)];
        let (transaction, rows) = self.begin(caller, &queries).await.map_err(StoreError::from)?;
        let Some(row) = answer(&rows, 0).first() else {
            transaction.roll_back().await;
            return Ok(None);
        };
        let mut old = key(row, 0)?;
        old.record.revoked_at = Some(new.created_at);
        let new = NewKey {
            label: old.record.label.clone(),
            scopes: old.record.scopes.clone(),
            rate_limit: old.record.rate_limit,
            ..within(new, &rows)?
        };
        let hash: &[u8] = new.hash.as_bytes();
        let values: [Value<'_>; 6] = [&id.0, &new.id.0, &hash, &new.prefix, &new.expires_at, &new.created_at];
        transaction.commit(&[Query::new(REPLACE, &values)]).await.map_err(StoreError::from)?;
        Ok(Some((record_of(&new), old)))
    }
}

/// A new key that ends no later than the second answer says.
fn within(key: &NewKey, rows: &[Vec<Row>]) -> Result<NewKey, StoreError> {
    let latest: Option<Timestamp> = answer(rows, 1).first().map_or(Ok(None), |row| column(row, 0))?;
    Ok(NewKey { expires_at: key.expires_at.into_iter().chain(latest).min(), ..key.clone() })
}

/// A new key as a row.
pub(crate) struct NewRow<'a> {
    key: &'a NewKey,
    pub(crate) hash: &'a [u8],
    pub(crate) scopes: Vec<&'static str>,
    pub(crate) limit: i32,
    pub(crate) label: Option<String>,
}

impl<'a> NewRow<'a> {
    pub(crate) fn of(key: &'a NewKey) -> Result<Self, StoreError> {
        Ok(Self {
            key,
            hash: key.hash.as_bytes(),
            scopes: words(&key.scopes),
            limit: limit(key.rate_limit)?,
            label: clean(key.label.as_deref()),
        })
    }

    fn values(&'a self, caller: &'a Caller) -> [Value<'a>; 10] {
        let key = self.key;
        [
            &key.id.0,
            &caller.user.0,
            &caller.project.0,
            &self.hash,
            &key.prefix,
            &self.label,
            &self.scopes,
            &self.limit,
            &key.expires_at,
            &key.created_at,
        ]
    }
}

pub(crate) fn record_of(key: &NewKey) -> KeyRecord {
    KeyRecord {
        id: key.id,
        prefix: key.prefix.clone(),
        label: key.label.clone(),
        scopes: key.scopes.clone(),
        rate_limit: key.rate_limit,
        last_used_at: None,
        expires_at: key.expires_at,
        created_at: key.created_at,
        revoked_at: None,
    }
}

/// A key from `id, key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, revoked_at`,
/// which begin at the column `from`.
pub(crate) fn key(row: &Row, from: usize) -> Result<Revoked, StoreError> {
    Ok(Revoked { hash: hash_of(column(row, from + 1)?)?, record: record(row, from, from + 2)? })
}

pub(crate) fn hash_of(stored: &[u8]) -> Result<KeyHash, StoreError> {
    let hash = <[u8; 32]>::try_from(stored).map_err(|_| StoreError::Damaged {
        what: "the hash of a key".to_owned(),
        detail: "it does not have 32 bytes".to_owned(),
    })?;
    Ok(KeyHash::from_bytes(hash))
}

/// A key from its id in the column `id` and `key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at,
/// revoked_at`, which begin at the column `rest`.
pub(crate) fn record(row: &Row, id: usize, rest: usize) -> Result<KeyRecord, StoreError> {
    Ok(KeyRecord {
        id: KeyId(column(row, id)?),
        prefix: column(row, rest)?,
        label: column(row, rest + 1)?,
        scopes: scopes(&column::<Vec<String>>(row, rest + 2)?)?,
        rate_limit: u32::try_from(column::<i32>(row, rest + 3)?).unwrap_or_default(),
        last_used_at: column(row, rest + 4)?,
        expires_at: column(row, rest + 5)?,
        created_at: column(row, rest + 6)?,
        revoked_at: column(row, rest + 7)?,
    })
}

pub(crate) fn words(scopes: &[Right]) -> Vec<&'static str> {
    scopes.iter().map(|right| right.as_str()).collect()
}

pub(crate) fn scopes(words: &[String]) -> Result<Vec<Right>, StoreError> {
    words
        .iter()
        .map(|word| {
            Right::from_word(word).ok_or_else(|| StoreError::Damaged {
                what: "a key's scopes".to_owned(),
                detail: format!("`{word}` is not a scope"),
            })
        })
        .collect()
}

pub(crate) fn role(word: &str) -> Result<Role, StoreError> {
    Role::from_word(word).ok_or_else(|| StoreError::Damaged {
        what: "a role".to_owned(),
        detail: format!("`{word}` is not a role"),
    })
}

pub(crate) fn limit(rate_limit: u32) -> Result<i32, StoreError> {
    i32::try_from(rate_limit).map_err(|_| StoreError::TooLarge {
        what: "the rate limit".to_owned(),
        limit: u64::from(i32::MAX.unsigned_abs()),
        got: u64::from(rate_limit),
    })
}

fn clean(label: Option<&str>) -> Option<String> {
    label.map(|label| label.replace('\0', "\u{fffd}"))
}

impl From<Failure> for KeyError {
    fn from(failure: Failure) -> Self {
        Self::Store(failure.into())
    }
}
