//! Joins the hubs of all servers: a channel a project for changes of documents, and one for signals.
//!
//! What goes over it are hints. A server that lost its connection tells its subscribers to read again, and forgets
//! what it believed of keys and sessions.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use memory_bank_core::caller::ProjectId;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::store::{Change, ChangeSink};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::http::redis::link::Link;
use crate::http::signals::{Signal, Signals};
use crate::hub::Hub;

/// How many messages may wait to be published.
const WAITING: usize = 1024;
/// How long to wait before a lost connection is tried again.
const AGAIN: Duration = Duration::from_millis(300);
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(2);
/// How often a message is tried.
const ATTEMPTS: u32 = 3;

/// A message between servers. Each server passes over its own.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    from: Uuid,
    #[serde(flatten)]
    news: News,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "news", content = "about", rename_all = "camelCase")]
enum News {
    Updated(String),
    List,
    Signal(Signal),
}

/// Publishes what happens here.
#[derive(Clone)]
pub(super) struct Publisher {
    own: Uuid,
    queue: mpsc::Sender<(String, News)>,
    link: Arc<Link>,
}

impl Publisher {
    pub(super) fn start(link: Arc<Link>, own: Uuid) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        tokio::spawn(publish(Arc::clone(&link), own, waiting));
        Self { own, queue, link }
    }

    pub(super) fn sink(&self, hub: Arc<Hub>) -> PublishingSink {
        PublishingSink { hub, publisher: self.clone() }
    }

    pub(super) fn bus(&self, link: Arc<Link>) -> Bus {
        Bus { link, publisher: self.clone() }
    }

    /// Publishes a signal and waits for that; false if Redis does not answer.
    pub(super) async fn say_now(&self, signal: Signal) -> bool {
        let message = Message { from: self.own, news: News::Signal(signal) };
        let Ok(text) = serde_json::to_string(&message) else { return false };
        let channel = self.link.key("signals", "all");
        self.link.ask::<i64>(redis::cmd("PUBLISH").arg(&channel).arg(&text)).await.is_some()
    }

    fn say(&self, channel: String, news: News) {
        if self.queue.try_send((channel, news)).is_err() {
            tracing::warn!("too much news waits to be published; other servers miss some");
        }
    }
}

async fn publish(link: Arc<Link>, own: Uuid, mut waiting: mpsc::Receiver<(String, News)>) {
    while let Some((channel, news)) = waiting.recv().await {
        let Ok(text) = serde_json::to_string(&Message { from: own, news }) else { continue };
        for _ in 0..ATTEMPTS {
            if link.ask::<i64>(redis::cmd("PUBLISH").arg(&channel).arg(&text)).await.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Tells the hub of this server, and the others.
pub(super) struct PublishingSink {
    hub: Arc<Hub>,
    publisher: Publisher,
}

impl ChangeSink for PublishingSink {
    fn changed(&self, project: ProjectId, change: Change) {
        let news = match &change {
            Change::Updated(path) => News::Updated(path.to_string()),
            _ => News::List,
        };
        self.hub.changed(project, change);
        self.publisher.say(self.publisher.link.key("news", project.0), news);
    }
}

/// Listens to the other servers, and passes the signals of this one on.
pub(crate) struct Bus {
    link: Arc<Link>,
    publisher: Publisher,
}

impl Bus {
    /// Runs until it is dropped.
    pub(crate) async fn run(self, hub: Arc<Hub>, signals: Arc<Signals>) {
        tokio::join!(self.pass_on(&signals), self.listen(&hub, &signals));
    }

    async fn pass_on(&self, signals: &Signals) {
        let mut outgoing = signals.outgoing();
        loop {
            match outgoing.recv().await {
                Ok(signal) => self.publisher.say(self.link.key("signals", "all"), News::Signal(signal)),
                Err(RecvError::Lagged(_)) => tracing::warn!("other servers miss some signals"),
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn listen(&self, hub: &Hub, signals: &Signals) {
        let mut missed = false;
        loop {
            if self.connected(hub, signals, missed).await {
                missed = true;
                tracing::warn!("the connection to the other servers broke");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Listens for as long as the connection holds; false if there was none.
    async fn connected(&self, hub: &Hub, signals: &Signals, missed: bool) -> bool {
        let Ok(Ok(mut listener)) = tokio::time::timeout(CONNECT, self.link.client.get_async_pubsub()).await
        else {
            return false;
        };
        let subscribing = async {
            listener.psubscribe(self.link.key("news", "*")).await?;
            listener.subscribe(self.link.key("signals", "all")).await
        };
        if !matches!(tokio::time::timeout(CONNECT, subscribing).await, Ok(Ok(()))) {
            return false;
        }
        if missed {
            hub.missed();
            signals.missed();
            tracing::info!("connected to the other servers again");
        }
        let prefix = self.link.key("news", "");
        let mut messages = listener.into_on_message();
        while let Some(message) = messages.next().await {
            let Ok(Message { from, news }) = serde_json::from_slice(message.get_payload_bytes()) else {
                tracing::warn!("a message of another server could not be read");
                continue;
            };
            if from == self.publisher.own {
                continue;
            }
            let project = message.get_channel_name().strip_prefix(&prefix).and_then(|id| id.parse().ok());
            match (news, project.map(ProjectId)) {
                (News::Signal(signal), _) => signals.arrived(signal),
                (News::List, Some(project)) => hub.changed(project, Change::List),
                (News::Updated(path), Some(project)) => match DocumentPath::parse(&path) {
                    Ok(path) => hub.changed(project, Change::Updated(path)),
                    Err(_) => hub.changed(project, Change::List),
                },
                (_, None) => tracing::warn!("a message of another server names no project"),
            }
        }
        true
    }
}
