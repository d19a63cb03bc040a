//! Removes what has expired.

use crate::http::shared::Shared;

/// Removes expired rows; called periodically.
pub(crate) async fn clean_up(shared: &Shared) {
    let Some(store) = &shared.oauth else { return };
    if let Err(error) = store.purge().await {
        tracing::warn!(%error, "expired tokens could not be removed; retrying");
    }
}
