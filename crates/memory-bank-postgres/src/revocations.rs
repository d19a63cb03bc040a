//! Outcomes of the functions of sign-in: keys and tokens that no longer hold, and outcomes that this program does not know.

use memory_bank_core::caller::KeyId;
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::Void;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::column::column;
use crate::keys::hash_of;

/// A function of schema `app` gave an outcome that this version does not know.
pub(crate) fn unknown(function: &str, outcome: &str) -> StoreError {
    StoreError::Unavailable(format!("app.{function} gave `{outcome}`"))
}

/// A grant with its tokens, from the column of their hashes.
pub(crate) fn void(grant: KeyId, row: &Row, at: usize) -> Result<Void, StoreError> {
    let hashes: Option<Vec<&[u8]>> = column(row, at)?;
    let hashes = hashes.unwrap_or_default().into_iter().map(hash_of).collect::<Result<_, _>>()?;
    Ok(Void { grant, hashes })
}

/// Grants with their tokens, from `grant_id, key_hash` in the order of grants.
pub(crate) fn voids(rows: &[Row]) -> Result<Vec<Void>, StoreError> {
    let mut found: Vec<Void> = Vec::new();
    for row in rows {
        let (grant, hash) = (KeyId(column(row, 0)?), hash_of(column(row, 1)?)?);
        match found.last_mut() {
            Some(last) if last.grant == grant => last.hashes.push(hash),
            _ => found.push(Void { grant, hashes: vec![hash] }),
        }
    }
    Ok(found)
}

/// Keys and tokens whose rights have changed, from two columns of equal length.
pub(crate) fn changed(row: &Row, at: usize) -> Result<Vec<Void>, StoreError> {
    let ids: Option<Vec<Uuid>> = column(row, at)?;
    let hashes: Option<Vec<&[u8]>> = column(row, at + 1)?;
    let pairs = ids.unwrap_or_default().into_iter().zip(hashes.unwrap_or_default());
    pairs.map(|(id, hash)| Ok(Void { grant: KeyId(id), hashes: vec![hash_of(hash)?] })).collect()
}
