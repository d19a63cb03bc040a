//! Connects the hubs of all replicas: one channel per project for changes of documents, and one for invalidations.
//!
//! Messages are hints and may be lost. A replica that lost its connection notifies its subscribers to read again, and
//! clears its caches of keys and sessions. A replica that could not publish makes all others do the same, as soon as
//! Redis answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use memory_bank_core::caller::ProjectId;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::identity::KeyHash;
use memory_bank_core::store::{Change, ChangeSink};
use parking_lot::Mutex;
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use redis::{Client, ConnectionAddr, Msg, RedisError, Value};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

use crate::http::invalidation::{Invalidation, InvalidationBus, Peers};
use crate::http::redis::keys::cache_key;
use crate::http::redis::link::Link;
use crate::hub::Hub;

/// How many messages may wait to be published.
const MAX_QUEUED_MESSAGES: usize = 1024;
/// How long to wait before a lost connection, or a failed publication, is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(300);
/// Time-out of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a silent connection is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// Time-out of the ping. Without a reply the connection is lost, even if it was not closed.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a listener at a node of a cluster sends itself a message, by way of any node.
const ECHO_INTERVAL: Duration = Duration::from_secs(2);
/// How long that message may take.
const ECHO_TIMEOUT: Duration = Duration::from_secs(1);
/// After how many messages in a row that did not arrive the node is left: others give it no messages any more.
const LOST_ECHOES: u32 = 2;
/// How long an ending process tries to publish.
const FINAL_PUBLISH_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a publication is tried.
const MAX_ATTEMPTS: u32 = 3;

/// A message between replicas. Each replica ignores its own.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    from: Uuid,
    #[serde(flatten)]
    content: BusMessage,
}

#[derive(Debug, Serialize, Deserialize)]
// The names on the wire do not change: replicas of several versions may share one Redis.
#[serde(tag = "news", content = "about", rename_all = "camelCase")]
enum BusMessage {
    Updated(String),
    List,
    Graph,
    Whole,
    Invalidation(Invalidation),
    /// The sender could not publish a message.
    Missed,
}

/// Publishes the changes and invalidations of this process.
#[derive(Clone)]
pub(super) struct Publisher {
    own: Uuid,
    queue: mpsc::Sender<(String, BusMessage)>,
    link: Arc<Link>,
    /// Whether a full queue was logged, since the others were last informed that they missed messages.
    is_overflow_logged: Arc<AtomicBool>,
}

impl Publisher {
    /// Starts the publishing tasks; they end with the runtime.
    pub(super) fn start(link: Arc<Link>, own: Uuid) -> Self {
        let (queue, queued) = mpsc::channel(MAX_QUEUED_MESSAGES);
        let publisher = Self { own, queue, link, is_overflow_logged: Arc::default() };
        tokio::spawn(publisher.clone().publish_queued(queued));
        tokio::spawn(publisher.clone().replay_missed());
        publisher
    }

    pub(super) fn sink(&self, hub: Arc<Hub>) -> PublishingSink {
        PublishingSink { hub, publisher: self.clone() }
    }

    pub(super) fn bus(&self) -> Bus {
        Bus { link: Arc::clone(&self.link), own: self.own, echoes: Notify::new(), avoided: Mutex::default() }
    }

    /// Publishes an invalidation and waits for the result; false if Redis does not answer.
    pub(super) async fn publish_invalidation(&self, invalidation: Invalidation) -> bool {
        self.try_publish(&self.link.key("signals", "all"), BusMessage::Invalidation(invalidation)).await
    }

    /// Publishes that a whole project changed, for a process that ends afterwards.
    pub(super) async fn publish_project_change(&self, project: ProjectId) -> bool {
        let channel = self.link.key("news", project.0);
        self.retry_until_published(async || self.try_publish(&channel, BusMessage::Whole).await).await
    }

    /// Deletes a cached key and publishes the invalidation, for a process that ends afterwards.
    pub(super) async fn publish_revocation(&self, hash: &KeyHash, invalidation: &Invalidation) -> bool {
        let once = async || {
            // Its name is known once a primary is.
            let cached = cache_key(&self.link, hash);
            let deleted = self.link.send::<i64>(&cached, redis::cmd("DEL").arg(&cached)).await.is_some();
            // The node of the entry may be silent, and that of the message not.
            self.publish_invalidation(invalidation.clone()).await && deleted
        };
        self.retry_until_published(once).await
    }

    /// Retries for a while, because the connection may still be opening.
    async fn retry_until_published(&self, once: impl AsyncFn() -> bool) -> bool {
        let published = async {
            while !once().await {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        };
        tokio::time::timeout(FINAL_PUBLISH_TIMEOUT, published).await.is_ok()
    }

    fn enqueue(&self, channel: String, content: BusMessage) {
        if self.queue.try_send((channel, content)).is_ok() {
            return;
        }
        if !self.is_overflow_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "too many messages wait to be published; the other servers will read everything again"
            );
        }
        self.link.queue_missed_notice();
    }

    async fn try_publish(&self, channel: &str, content: BusMessage) -> bool {
        let Ok(text) = serde_json::to_string(&Message { from: self.own, content }) else { return false };
        self.link.publish(channel, &text).await
    }

    async fn publish_queued(self, mut queued: mpsc::Receiver<(String, BusMessage)>) {
        while let Some((channel, content)) = queued.recv().await {
            let Ok(text) = serde_json::to_string(&Message { from: self.own, content }) else { continue };
            let mut published = false;
            for attempt in 0..MAX_ATTEMPTS {
                if attempt > 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                published = self.link.publish(&channel, &text).await;
                if published {
                    break;
                }
            }
            if !published {
                self.link.queue_missed_notice();
            }
        }
    }

    /// Invalidations that fail are queued and replayed when Redis returns: deletes queued keys, then informs the
    /// peers that they missed something.
    async fn replay_missed(self) {
        let channel = self.link.key("signals", "all");
        loop {
            self.link.wait_for_queued().await;
            let mut is_announced = false;
            while !(self.link.flush_deletes().await && self.try_publish(&channel, BusMessage::Missed).await) {
                // The node of an entry may be silent for long, and that of the message not.
                is_announced = is_announced || self.try_publish(&channel, BusMessage::Missed).await;
                tokio::select! {
                    () = tokio::time::sleep(RETRY_INTERVAL) => {}
                    // A later failure is not announced yet.
                    () = self.link.wait_for_queued() => is_announced = false,
                }
            }
            self.is_overflow_logged.store(false, Ordering::Relaxed);
            tracing::info!("informed the other servers that they missed messages");
        }
    }
}

#[async_trait]
impl Peers for Publisher {
    async fn notify(&self, invalidation: Invalidation) {
        for _ in 0..MAX_ATTEMPTS {
            if self.publish_invalidation(invalidation.clone()).await {
                return;
            }
        }
        self.link.queue_missed_notice();
    }
}

/// Notifies the hub of this server, and the peers.
pub(super) struct PublishingSink {
    hub: Arc<Hub>,
    publisher: Publisher,
}

impl ChangeSink for PublishingSink {
    fn changed(&self, project: ProjectId, change: Change) {
        let content = match &change {
            Change::Updated(path) => BusMessage::Updated(path.to_string()),
            Change::Whole => BusMessage::Whole,
            Change::Graph => BusMessage::Graph,
            _ => BusMessage::List,
        };
        self.hub.changed(project, change);
        self.publisher.enqueue(self.publisher.link.key("news", project.0), content);
    }
}

/// Receives the messages of other replicas.
pub(crate) struct Bus {
    link: Arc<Link>,
    own: Uuid,
    /// Notified when a message to itself arrives.
    echoes: Notify,
    /// The node at which they did not arrive; another one is preferred.
    avoided: Mutex<Option<ConnectionAddr>>,
}

impl Bus {
    /// Runs until it is dropped. `tried` is notified when the first connection attempt succeeded or failed.
    pub(crate) async fn run(
        self,
        hub: Arc<Hub>,
        invalidations: Arc<InvalidationBus>,
        tried: oneshot::Sender<()>,
    ) {
        let mut tried = Some(tried);
        let mut missed = false;
        let mut moved = self.link.moved();
        loop {
            moved.mark_unchanged();
            match self.connect().await {
                Ok((sink, messages, server)) => {
                    if missed {
                        tracing::info!("reconnected to the other servers");
                        invalidations.missed();
                        hub.missed();
                    }
                    // The receiver may be gone.
                    let _ = tried.take().map(|tried| tried.send(()));
                    tokio::select! {
                        () = self.listen(messages, &hub, &invalidations) => {}
                        () = until_unresponsive(sink) => {}
                        () = self.until_unheard() => self.avoid(&server),
                        _ = moved.changed() => {}
                    }
                    tracing::warn!("lost the connection to the other servers");
                }
                Err(why) if !missed => tracing::warn!(why, "no messages from the other servers"),
                Err(_) => {}
            }
            let _ = tried.take().map(|tried| tried.send(()));
            missed = true;
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// A connection to the first server that gives one, and the server.
    async fn connect(&self) -> Result<(PubSubSink, PubSubStream, Client), String> {
        let mut nodes = self.link.nodes_with_messages().await;
        if let Some(avoided) = self.avoided.lock().as_ref()
            && nodes.len() > 1
        {
            nodes.retain(|node| address_of(node) != *avoided);
        }
        if nodes.is_empty() {
            return Err("no server is known".to_owned());
        }
        let attempts = nodes.into_iter().map(|node| Box::pin(self.connect_to(node)));
        let connecting = futures::future::select_ok(attempts);
        // Log the kind only: the text may contain an address.
        let why = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok((connected, _))) => return Ok(connected),
            Ok(Err(error)) => format!("{:?}", error.kind()),
            Err(_) => "no answer in time".to_owned(),
        };
        // Rather that one than none.
        *self.avoided.lock() = None;
        Err(why)
    }

    async fn connect_to(&self, node: Client) -> Result<(PubSubSink, PubSubStream, Client), RedisError> {
        let mut listener: PubSub = node.get_async_pubsub().await?;
        listener.psubscribe(self.link.key("news", "*")).await?;
        listener.subscribe(self.link.key("signals", "all")).await?;
        if self.link.is_cluster() {
            listener.subscribe(self.echo_channel()).await?;
        }
        let (sink, messages) = listener.split();
        Ok((sink, messages, node))
    }

    /// Returns when messages that were sent to a node of the cluster do not arrive at this one: the others have forgotten it, whatever it
    /// says itself. Of one server this never is.
    async fn until_unheard(&self) {
        if !self.link.is_cluster() {
            return std::future::pending().await;
        }
        let (channel, mut lost) = (self.echo_channel(), 0);
        while lost < LOST_ECHOES {
            tokio::time::sleep(ECHO_INTERVAL).await;
            let heard = self.echoes.notified();
            // A message that was not sent proves nothing.
            if self.link.publish(&channel, "").await {
                let arrived = tokio::time::timeout(ECHO_TIMEOUT, heard).await.is_ok();
                lost = if arrived { 0 } else { lost + 1 };
                if !arrived {
                    self.link.doubt_nodes();
                }
            }
        }
    }

    /// The channel that only this server listens to.
    fn echo_channel(&self) -> String {
        self.link.key("signals", self.own)
    }

    fn avoid(&self, server: &Client) {
        *self.avoided.lock() = Some(address_of(server));
    }

    /// Passes on messages of other replicas, until the connection ends.
    async fn listen(&self, mut messages: PubSubStream, hub: &Hub, invalidations: &InvalidationBus) {
        let prefix = self.link.key("news", "");
        while let Some(message) = messages.next().await {
            self.on_message(&message, &prefix, hub, invalidations);
        }
    }

    fn on_message(&self, message: &Msg, prefix: &str, hub: &Hub, invalidations: &InvalidationBus) {
        if message.get_channel_name() == self.echo_channel() {
            return self.echoes.notify_one();
        }
        let Ok(Message { from, content }) = serde_json::from_slice(message.get_payload_bytes()) else {
            tracing::warn!("a message of another server could not be parsed");
            // The message may belong to a later version.
            invalidations.missed();
            hub.missed();
            return;
        };
        if from == self.own {
            return;
        }
        let project = message.get_channel_name().strip_prefix(prefix).and_then(|id| id.parse().ok());
        match (content, project.map(ProjectId)) {
            (BusMessage::Invalidation(invalidation), _) => invalidations.arrived(invalidation),
            (BusMessage::Missed, _) => {
                invalidations.missed();
                hub.missed();
            }
            (BusMessage::Whole, Some(project)) => hub.changed(project, Change::Whole),
            (BusMessage::Graph, Some(project)) => hub.changed(project, Change::Graph),
            (BusMessage::List, Some(project)) => hub.changed(project, Change::List),
            (BusMessage::Updated(path), Some(project)) => match DocumentPath::parse(&path) {
                Ok(path) => hub.changed(project, Change::Updated(path)),
                Err(_) => hub.changed(project, Change::List),
            },
            (_, None) => tracing::warn!("a message of another server names no project"),
        }
    }
}

fn address_of(node: &Client) -> ConnectionAddr {
    node.get_connection_info().addr().clone()
}

/// Returns when the connection stops answering pings.
async fn until_unresponsive(mut sink: PubSubSink) {
    loop {
        tokio::time::sleep(PING_INTERVAL).await;
        if !matches!(tokio::time::timeout(PING_TIMEOUT, sink.ping::<Value>()).await, Ok(Ok(_))) {
            return;
        }
    }
}
