use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use super::*;

const ISSUER: &str = "https://login.example.com/realm";
const METADATA: &str = "https://login.example.com/realm/.well-known/openid-configuration";
const KEYS: &str = "https://keys.example.com/jwks";

/// Documents by their address, and what was fetched. A document with the text `slow` does not come, after a while.
#[derive(Clone, Default)]
struct Fake {
    documents: Arc<Mutex<HashMap<String, String>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn with(documents: &[(&str, String)]) -> Self {
        let fake = Self::default();
        for (address, text) in documents {
            fake.publish(address, text);
        }
        fake
    }

    fn publish(&self, address: &str, text: &str) {
        self.documents.lock().insert(address.to_owned(), text.to_owned());
    }

    fn fetched(&self, address: &str) -> usize {
        self.requests.lock().iter().filter(|fetched| *fetched == address).count()
    }
}

#[async_trait]
impl Fetch for Fake {
    async fn get(&self, address: &Url) -> Result<Bytes, String> {
        self.requests.lock().push(address.to_string());
        let found = self.documents.lock().get(address.as_str()).cloned();
        match found.as_deref() {
            Some("slow") => {
                // Longer than the interval.
                tokio::time::sleep(Duration::from_secs(11)).await;
                Err("slow".to_owned())
            }
            Some(text) => Ok(Bytes::from(text.to_owned())),
            None => Err("it answers with status 404".to_owned()),
        }
    }
}

fn metadata(issuer: &str, keys: &str) -> String {
    json!({"issuer": issuer, "jwks_uri": keys}).to_string()
}

fn set(ids: &[&str]) -> String {
    let keys: Vec<Value> =
        ids.iter().map(|id| json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": "AAAA"})).collect();
    json!({"keys": keys}).to_string()
}

fn keys(fake: &Fake) -> PublishedKeys {
    PublishedKeys::new(ISSUER.to_owned(), None, Box::new(fake.clone()))
}

async fn find(keys: &PublishedKeys, id: &str) -> Result<usize, NoKey> {
    keys.with_id(id).await.map(|found| found.len())
}

fn usual() -> Fake {
    Fake::with(&[(METADATA, metadata(ISSUER, KEYS)), (KEYS, set(&["a"]))])
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_ids_makes_one_request_in_an_interval() {
    let fake = usual();
    let keys = keys(&fake);
    let forged = (0..1000).map(|n| {
        let keys = keys.clone();
        async move { find(&keys, &format!("forged {n}")).await }
    });
    for answer in futures::future::join_all(forged).await {
        assert_eq!(answer, Err(NoKey::Unknown));
    }
    assert_eq!((fake.fetched(METADATA), fake.fetched(KEYS)), (1, 1));
    assert_eq!(find(&keys, "a").await, Ok(1));
    tokio::time::advance(INTERVAL).await;
    for n in 0..100 {
        assert_eq!(find(&keys, &format!("forged {n}")).await, Err(NoKey::Unknown));
    }
    assert_eq!((fake.fetched(METADATA), fake.fetched(KEYS)), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_and_a_removed_one_is_refused_after_a_time() {
    let fake = usual();
    let keys = keys(&fake);
    assert_eq!(find(&keys, "a").await, Ok(1));
    fake.publish(KEYS, &set(&["b"]));
    assert_eq!(find(&keys, "b").await, Err(NoKey::Unknown), "within the interval");
    assert_eq!(find(&keys, "a").await, Ok(1));
    tokio::time::advance(INTERVAL).await;
    assert_eq!(find(&keys, "b").await, Ok(1));
    assert_eq!(find(&keys, "a").await, Err(NoKey::Unknown));
    fake.publish(KEYS, &set(&["c"]));
    tokio::time::advance(FRESH).await;
    assert_eq!(find(&keys, "b").await, Err(NoKey::Unknown), "a key that is gone, without an unknown id");
    assert_eq!(find(&keys, "c").await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn known_keys_are_used_for_a_time_while_the_issuer_is_out_of_reach() {
    let fake = usual();
    let keys = keys(&fake);
    assert_eq!(find(&keys, "a").await, Ok(1));
    fake.publish(KEYS, "slow");
    tokio::time::advance(FRESH).await;
    assert_eq!(find(&keys, "a").await, Ok(1));
    assert_eq!(find(&keys, "b").await, Err(NoKey::Unknown));
    tokio::time::advance(USABLE).await;
    assert_eq!(find(&keys, "a").await, Err(NoKey::Unavailable));
    fake.publish(KEYS, &set(&["a"]));
    assert_eq!(find(&keys, "a").await, Err(NoKey::Unavailable), "within the interval");
    tokio::time::advance(INTERVAL).await;
    assert_eq!(find(&keys, "a").await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_a_slow_issuer_send_no_more() {
    let fake = Fake::with(&[(METADATA, metadata(ISSUER, KEYS)), (KEYS, "slow".to_owned())]);
    let keys = keys(&fake);
    let began = Instant::now();
    let waiting = (0..50).map(|_| find(&keys, "a"));
    for answer in futures::future::join_all(waiting).await {
        assert_eq!(answer, Err(NoKey::Unavailable));
    }
    assert_eq!(fake.fetched(KEYS), 1);
    assert!(began.elapsed() <= PATIENCE, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_known_key_does_not_wait_long_for_a_slow_issuer() {
    let fake = usual();
    let keys = keys(&fake);
    assert_eq!(find(&keys, "a").await, Ok(1));
    fake.publish(KEYS, "slow");
    tokio::time::advance(FRESH).await;
    let began = Instant::now();
    assert_eq!(find(&keys, "a").await, Ok(1));
    assert_eq!(find(&keys, "a").await, Ok(1));
    assert!(began.elapsed() <= KNOWN_PATIENCE, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_down_at_the_start_is_asked_again() {
    let fake = Fake::default();
    let keys = keys(&fake);
    for _ in 0..100 {
        assert_eq!(find(&keys, "a").await, Err(NoKey::Unavailable));
    }
    assert_eq!(fake.fetched(METADATA), 1);
    fake.publish(METADATA, &metadata(ISSUER, KEYS));
    fake.publish(KEYS, &set(&["a"]));
    tokio::time::advance(INTERVAL).await;
    assert_eq!(find(&keys, "a").await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_ends_no_fetch() {
    let fake = usual();
    let keys = keys(&fake);
    {
        let mut asked = std::pin::pin!(find(&keys, "a"));
        assert!(futures::poll!(asked.as_mut()).is_pending());
    }
    assert_eq!(find(&keys, "a").await, Ok(1));
    assert_eq!(fake.fetched(KEYS), 1);
}

#[tokio::test]
async fn metadata_is_found_where_issuers_publish_it() {
    for place in [
        METADATA,
        "https://login.example.com/.well-known/oauth-authorization-server/realm",
        "https://login.example.com/.well-known/openid-configuration/realm",
    ] {
        let fake = Fake::with(&[(place, metadata(ISSUER, KEYS)), (KEYS, set(&["a"]))]);
        assert_eq!(find(&keys(&fake), "a").await, Ok(1), "{place}");
    }
    let supabase = Fake::with(&[("https://login.example.com/realm/.well-known/jwks.json", set(&["a"]))]);
    assert_eq!(find(&keys(&supabase), "a").await, Ok(1));
    let set_apart = Fake::with(&[(KEYS, set(&["a"]))]);
    let address = Some(Url::parse(KEYS).unwrap());
    let keys = PublishedKeys::new(ISSUER.to_owned(), address, Box::new(set_apart.clone()));
    assert_eq!(find(&keys, "a").await, Ok(1));
    assert_eq!(*set_apart.requests.lock(), [KEYS]);
}

#[tokio::test]
async fn metadata_of_another_issuer_or_with_unsafe_addresses_is_refused() {
    for text in [
        metadata("https://login.example.com/other", KEYS),
        metadata("https://login.example.com/realm/", KEYS),
        metadata(ISSUER, "http://keys.example.com/jwks"),
        metadata(ISSUER, "http://127.0.0.1/jwks"),
        metadata(ISSUER, "file:///etc/passwd"),
        format!("{{\"issuer\": \"{ISSUER}\", \"issuer\": \"{ISSUER}\", \"jwks_uri\": \"{KEYS}\"}}"),
        "[]".to_owned(),
    ] {
        let fake = Fake::with(&[
            (METADATA, text.clone()),
            (KEYS, set(&["a"])),
            ("http://127.0.0.1/jwks", set(&["a"])),
        ]);
        assert_eq!(find(&keys(&fake), "a").await, Err(NoKey::Unavailable), "{text}");
        assert_eq!(fake.fetched(KEYS), 0, "{text}");
    }
}
