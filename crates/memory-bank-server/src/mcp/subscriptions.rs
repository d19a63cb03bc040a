//! Notifications of changed documents: `resources/subscribe` for clients with a handshake, `subscriptions/listen` for
//! newer ones.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use memory_bank_core::caller::{Caller, ProjectId, Right};
use memory_bank_core::document::DocumentPath;
use memory_bank_core::limits;
use memory_bank_core::store::Change;
use rmcp::RoleServer;
use rmcp::model::{ErrorData, ResourceUpdatedNotificationParam, SubscriptionFilter};
use rmcp::service::{Peer, SubscriptionContext};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::mcp::resources;
use crate::services::Services;

/// The URIs that one client with a handshake is subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    uris: Mutex<BTreeSet<String>>,
    started: OnceLock<()>,
}

impl Subscriptions {
    /// Subscribes to a URI.
    pub(crate) fn add(&self, uri: &str) -> Result<(), ErrorData> {
        resources::parse(uri)?;
        let mut uris = self.uris.lock();
        if uris.len() >= limits::SUBSCRIPTIONS && !uris.contains(uri) {
            let message = format!(
                "at most {} subscriptions are allowed; unsubscribe from some first",
                limits::SUBSCRIPTIONS
            );
            return Err(ErrorData::invalid_request(message, None));
        }
        uris.insert(uri.to_owned());
        Ok(())
    }

    /// Ends a subscription.
    pub(crate) fn remove(&self, uri: &str) {
        self.uris.lock().remove(uri);
    }

    /// Starts to forward changes to the client, once.
    pub(crate) fn start(
        self: &Arc<Self>,
        services: &Services,
        caller: &Arc<Caller>,
        peer: &Peer<RoleServer>,
    ) {
        // Notifications contain names of documents, so the caller must be allowed to read.
        if !caller.may(Right::Read) || self.started.set(()).is_err() {
            return;
        }
        let subscriptions = Arc::clone(self);
        let mut changes = services.hub.subscribe();
        let project = caller.project;
        let peer = peer.clone();
        tokio::spawn(async move {
            while let Some(item) = next(&mut changes, project).await {
                if !subscriptions.forward(&peer, &item).await {
                    return;
                }
            }
        });
    }

    /// Notifies the client; false when it is gone.
    async fn forward(&self, peer: &Peer<RoleServer>, item: &SubscriptionUpdate) -> bool {
        let uris: Vec<String> = self.uris.lock().iter().filter(|uri| item.concerns(uri)).cloned().collect();
        for uri in uris {
            if peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await.is_err() {
                return false;
            }
        }
        if item.changes_the_list() && peer.notify_resource_list_changed().await.is_err() {
            return false;
        }
        !peer.is_transport_closed()
    }
}

/// Supported notifications: resources and their list. Tools and prompts never change while the server runs.
pub(crate) fn accepted(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let mut accepted = SubscriptionFilter::default();
    accepted.resources_list_changed = requested.resources_list_changed;
    accepted.resource_subscriptions = requested.resource_subscriptions.as_ref().map(|uris| {
        uris.iter().filter(|uri| resources::parse(uri).is_ok()).take(limits::SUBSCRIPTIONS).cloned().collect()
    });
    accepted
}

/// Forwards changes to one `subscriptions/listen` request until it is cancelled.
pub(crate) async fn listen(services: &Services, caller: &Caller, context: &SubscriptionContext) {
    let mut changes = services.hub.subscribe();
    let uris: Vec<String> =
        context.accepted().resource_subscriptions.clone().unwrap_or_default().into_iter().collect();
    let list = context.accepted().resources_list_changed == Some(true);
    loop {
        let item = tokio::select! {
            () = context.cancelled() => return,
            item = next(&mut changes, caller.project) => item,
        };
        let Some(item) = item else { return };
        for uri in uris.iter().filter(|uri| item.concerns(uri)) {
            if context.sink().notify_resource_updated(uri.as_str()).await.is_err() {
                return;
            }
        }
        if list && item.changes_the_list() && context.sink().notify_resource_list_changed().await.is_err() {
            return;
        }
    }
}

/// One change, or the information that some were missed.
enum SubscriptionUpdate {
    Change(Change),
    Missed,
}

impl SubscriptionUpdate {
    fn concerns(&self, uri: &str) -> bool {
        match self {
            Self::Change(Change::Updated(path)) => names(uri, path),
            Self::Missed | Self::Change(Change::Whole) => true,
            Self::Change(_) => false,
        }
    }

    fn changes_the_list(&self) -> bool {
        matches!(self, Self::Missed | Self::Change(Change::List | Change::Whole))
    }
}

pub(crate) fn names(uri: &str, path: &DocumentPath) -> bool {
    let canonical = path.canonical();
    resources::parse(uri)
        .is_ok_and(|paths| paths.iter().any(|named| named == path || named.canonical() == canonical))
}

async fn next(changes: &mut Receiver<(ProjectId, Change)>, project: ProjectId) -> Option<SubscriptionUpdate> {
    loop {
        match changes.recv().await {
            Ok((_, Change::Missed)) => return Some(SubscriptionUpdate::Missed),
            Ok((of, change)) if of == project => return Some(SubscriptionUpdate::Change(change)),
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return Some(SubscriptionUpdate::Missed),
            Err(RecvError::Closed) => return None,
        }
    }
}
