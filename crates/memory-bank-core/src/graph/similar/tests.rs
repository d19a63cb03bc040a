use rstest::rstest;

use super::*;

#[rstest]
#[case("The timeout is 30 seconds", "The timeout is 60 seconds")]
#[case("timeout: 30s", "Timeout: 60s")]
#[case("Port 8080", "Port 9090")]
#[case("Listens on port 8080", "listens on port 443")]
#[case("port=8080", "port=8081")]
#[case("Uses PostgreSQL 15", "Uses PostgreSQL 16")]
#[case("Runs 3 nodes with 16 GB", "Runs 5 nodes with 32 GB")]
#[case("The timeout is 30 seconds", "The timeout is 1 minute")]
#[case("The licence expires on 2026-12-01", "The licence expires on 2027-12-01")]
#[case("Minimum Node version is v18.2", "Minimum Node version is v20.1")]
#[case("Owner is Alice", "Owner is Bob")]
#[case("The owner is Alice Smith", "The owner is Bob")]
#[case("Alice is the owner", "Bob is the owner")]
#[case("Alice owns the billing module", "Bob owns the billing module")]
#[case("The primary database is PostgreSQL", "The primary database is MySQL")]
#[case("Region: eu-west-1", "Region: us-east-1")]
#[case("Uses Redis for caching sessions", "Uses Memcached for caching sessions")]
#[case("The API runs on Kubernetes in production", "The API runs on Nomad in production")]
#[case("Config is read from config/app.yml at start", "Config is read from config/app.toml at start")]
#[case("Retries are enabled", "Retries are disabled")]
#[case("Retries are limited to three", "Retries are limited to five")]
#[case("The timeout is thirty seconds", "The timeout is 40 seconds")]
#[case("Authentication is required", "Authentication is optional")]
#[case("The service is stateless", "The service is not stateless")]
#[case("Uses an ORM", "Does not use an ORM")]
#[case("The service uses Redis", "The service no longer uses Redis")]
#[case("Migrations run automatically", "Migrations never run automatically")]
#[case("Migrations always run automatically", "Migrations never run automatically")]
#[case("Listens on port ８０８０", "Listens on port 9090")]
#[case("Runs with root", "Runs without root")]
#[case("Der Dienst ist nicht öffentlich", "Der Dienst ist öffentlich")]
#[case("Le service n'est pas public", "Le service est public")]
#[case("The team owns the script", "The team does not own the script")]
#[case("Alice owns it", "Alice does not own it")]
#[case("Alice reviews deploys", "Alice does not review deploys")]
#[case("Uses PostgreSQL 16", "Uses postgresql 15")]
fn contraries_are_found_in_both_directions(#[case] one: &str, #[case] other: &str) {
    assert_eq!(similarity(one, other), Some(Similarity::Contradicts), "{one} / {other}");
    assert_eq!(similarity(other, one), Some(Similarity::Contradicts), "{other} / {one}");
}

#[rstest]
#[case("The API uses JWT tokens", "API uses JWT token")]
#[case("The limit is 1,000 requests", "The limit is 1000 requests")]
#[case("The timeout is thirty seconds", "The timeout is 30 seconds")]
#[case("Listens on port ８０８０", "Listens on port 8080")]
#[case("the api uses jwt tokens.", "The API uses JWT tokens")]
#[case("Uses PostgreSQL for storage", "uses postgresql for storage!")]
#[case("Sessions use Redis", "Sessions use redis")]
#[case("The service uses Redis 6 for sessions", "the service uses redis 6 for sessions.")]
#[case("The service uses Redis 6 for sessions", "THE SERVICE USES REDIS 6 FOR SESSIONS")]
#[case("We deploy with GitHub Actions", "We deploy with Github actions")]
#[case("Handles authentication of users", "Handles authentification of users")]
#[case(
    "Payments are processed asynchronously by the worker",
    "Payments are processed asynchronously by worker"
)]
#[case(
    "Sends invoices to customers by e-mail every month",
    "Sends invoices to customers by e-mail automatically every month"
)]
#[case("The worker retries failed jobs slowly", "The worker slowly retries failed jobs")]
fn repetitions_are_found_in_both_directions(#[case] one: &str, #[case] other: &str) {
    assert_eq!(similarity(one, other), Some(Similarity::Repeats), "{one} / {other}");
    assert_eq!(similarity(other, one), Some(Similarity::Repeats), "{other} / {one}");
}

#[rstest]
// Other subjects.
#[case("Alice likes tea", "Bob likes tea")]
#[case("Endpoint /users requires authentication", "Endpoint /orders requires authentication")]
#[case("The API is slow", "The CLI is slow")]
#[case("Port 8080 is open", "Port 9090 is open")]
#[case("Step 3 takes long", "Step 4 takes long")]
#[case("Issue 12 is about search", "Issue 13 is about search")]
#[case("#12 is about search", "#13 is about search")]
#[case("Error 404 means not found", "Error 500 means not found")]
// Lists of things that are used together.
#[case("Uses PostgreSQL", "Uses Redis")]
#[case("The service uses PostgreSQL", "The service uses Redis")]
#[case("Depends on Redis", "Depends on Kafka")]
#[case("The library supports Windows", "The library supports Linux")]
// Events.
#[case("2026-11-01: deploy failed", "2026-11-02: deploy failed")]
#[case("Released 1.2", "Released 1.3")]
#[case("Released version 1.2 on 2026-01-03", "Released version 1.3 on 2026-02-03")]
#[case("Alice reviewed the design", "Bob reviewed the design")]
#[case("Met Alice in Berlin", "Met Bob in Berlin")]
// Other statements.
#[case("Reads the configuration at start", "Writes the configuration at start")]
#[case("The build is slow", "The build is broken")]
#[case("Uses Redis for caching", "Uses Redis for queues")]
#[case("Written in Rust", "Tested on Linux")]
#[case("Alice reports to Bob", "Bob reports to Alice")]
#[case("Uses Redis", "Does not use Memcached")]
#[case("Has 3 replicas", "Has 5 shards")]
#[case("", "The API is slow")]
#[case("...", "!!!")]
#[case("42", "43")]
#[case("Alice", "Bob")]
fn facts_about_different_things_do_not_warn(#[case] one: &str, #[case] other: &str) {
    assert_eq!(similarity(one, other), None, "{one} / {other}");
    assert_eq!(similarity(other, one), None, "{other} / {one}");
}

#[test]
fn a_long_text_is_not_compared_and_few_are_named() {
    let long = "word ".repeat(200);
    assert_eq!(similarity(&long, &long), None);
    let fact = |n: usize| Observation {
        id: format!("obs_{n}"),
        entity_id: "ent_x".to_owned(),
        text: format!("The timeout is {n} seconds"),
        source: None,
        timestamp: "2026-01-01".to_owned(),
        author: None,
        validity: None,
    };
    let facts: Vec<Observation> = (0..20).map(fact).collect();
    let similar = similar_facts("The timeout is 99 seconds", &facts);
    assert_eq!(similar.len(), MAX_NAMED);
    assert_eq!((similar[0].id.as_str(), similar[0].similarity), ("obs_0", Similarity::Contradicts));
}

proptest::proptest! {
    #[test]
    fn comparing_never_panics_and_is_symmetric(one in "\\PC{0,60}", other in "([a-z]{1,6} ?|[0-9]{1,3} |not |Ab |= |: ){0,12}") {
        let _ = similarity(&one, &other);
        proptest::prop_assert_eq!(similarity(&one, &other), similarity(&other, &one));
        proptest::prop_assert!(Sentence::of(&other).tokens.is_empty() || similarity(&other, &other) == Some(Similarity::Repeats));
    }
}
