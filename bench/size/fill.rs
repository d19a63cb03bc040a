//! Projects of a given size, written into the database as the triggers count and record them.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use memory_bank_core::clock::SystemEntropy;
use memory_bank_core::document::Etag;
use memory_bank_core::graph::ids::{entity_id, observation_id, relation_id};
use memory_bank_core::identity::{Environment, PlainKey};

use crate::servers::Postgres;
use crate::text::Prose;

/// Observations of an entity, on average. A quarter of all belong to the first entity.
const OBSERVATIONS: usize = 20;
/// Lines of a document: about 2 kB.
const LINES: usize = 25;
/// When all of it was written.
const WRITTEN: &str = "2026-01-02T03:04:05.000Z";
const WRITTEN_MILLIS: u64 = 1_767_323_045_000;

/// A project, and what can be asked about it.
pub struct Project {
    pub key: String,
    /// Three words of a sentence of the documents.
    pub document_questions: Vec<String>,
    /// Three words of an observation.
    pub fact_questions: Vec<String>,
}

/// The name of an entity.
pub fn entity(number: usize) -> String {
    format!("Component {number}")
}

/// The name of a document.
pub fn document(number: usize) -> String {
    format!("notes/part-{}/notes-{number}.md", number / 1000)
}

/// Fills a project, which exists, with documents and a graph.
pub fn fill(
    postgres: &Postgres,
    home: &Path,
    (name, key): (&str, String),
    documents: usize,
    observations: usize,
) -> anyhow::Result<Project> {
    let id = postgres.psql(&format!("SELECT id FROM projects WHERE slug = '{name}'"))?;
    let id = id.trim();
    let mut prose = Prose::new(42);
    let mut asking = Prose::new(43);
    let mut document_questions = Vec::new();
    copy(postgres, home, "public.documents (project_id, path, content, etag)", documents, |number, out| {
        let mut content = format!("# Notes {number}\n\n");
        for line in 0..LINES {
            let sentence = prose.sentence();
            if line == 0 && number < 50 {
                document_questions.push(asking.question(&sentence));
            }
            let _ = writeln!(content, "- {sentence}");
        }
        let etag = Etag::of(&content);
        let _ =
            writeln!(out, "{id}\t{}\t{}\t{}", document(number), content.replace('\n', "\\n"), etag.as_str());
    })?;
    let entities = observations.div_ceil(OBSERVATIONS).max(10);
    let kind = |number: usize| ["service", "module", "decision", "person"][number % 4];
    let ids: Vec<String> = (0..entities).map(|number| entity_id(&entity(number), kind(number))).collect();
    let columns = "public.graph_entities (project_id, id, name, name_key, entity_type)";
    copy(postgres, home, columns, entities, |number, out| {
        let name = entity(number);
        let _ = writeln!(out, "{id}\t{}\t{name}\t{}\t{}", ids[number], name.to_lowercase(), kind(number));
    })?;
    let mut fact_questions = Vec::new();
    let columns = "public.graph_observations (project_id, id, entity_id, content, \"timestamp\", at)";
    copy(postgres, home, columns, observations, |number, out| {
        let owner = &ids[if number % 4 == 0 { 0 } else { number % entities }];
        let text = prose.sentence();
        if number < 50 {
            fact_questions.push(asking.question(&text));
        }
        let fact = observation_id(owner, &text, WRITTEN);
        let _ = writeln!(out, "{id}\t{fact}\t{owner}\t{text}\t{WRITTEN}\t{WRITTEN_MILLIS}");
    })?;
    let columns = "public.graph_relations (project_id, id, from_entity_id, to_entity_id, relation_type)";
    copy(postgres, home, columns, entities * 2, |number, out| {
        let (from, step, word) = match number % 2 {
            0 => (number / 2, 1, "uses"),
            _ => (number / 2, 7, "mentions"),
        };
        let (from, to) = (&ids[from], &ids[(from + step) % entities]);
        let _ = writeln!(out, "{id}\t{}\t{from}\t{to}\t{word}", relation_id(from, word, to));
    })?;
    // A sentence of frequent words only makes no question.
    document_questions.retain(|question| !question.is_empty());
    fact_questions.retain(|question| !question.is_empty());
    Ok(Project { key, document_questions, fact_questions })
}

/// Projects of one document each, for each of which a user has a key; returns the keys.
pub fn projects(postgres: &Postgres, home: &Path, count: usize) -> anyhow::Result<Vec<String>> {
    let keys: Vec<PlainKey> =
        (0..count).map(|_| PlainKey::generate(Environment::Live, &SystemEntropy)).collect();
    postgres.psql(&format!(
        "INSERT INTO users (name) SELECT 'tenant-' || i FROM generate_series(0, {count} - 1) i; \
         INSERT INTO projects (owner_id, name, slug) SELECT id, name, name FROM users WHERE name LIKE 'tenant-%'; \
         INSERT INTO memberships (user_id, project_id, role) \
         SELECT owner_id, id, 'owner' FROM projects WHERE slug LIKE 'tenant-%' ON CONFLICT DO NOTHING; \
         INSERT INTO documents (project_id, path, content, etag) SELECT id, 'notes.md', repeat('- a line of some words\n', 80), \
         substr(encode(sha256(convert_to(repeat('- a line of some words\n', 80), 'UTF8')), 'hex'), 1, 16) \
         FROM projects WHERE slug LIKE 'tenant-%'; \
         DROP TABLE IF EXISTS public.new_keys; CREATE TABLE public.new_keys (slug text, hash text, prefix text)"
    ))?;
    copy(postgres, home, "public.new_keys (slug, hash, prefix)", count, |number, out| {
        let key = &keys[number];
        let _ = writeln!(out, "tenant-{number}\t{}\t{}", key.hash().to_hex(), key.prefix());
    })?;
    postgres.psql(
        "INSERT INTO api_keys (user_id, project_id, key_hash, key_prefix, rate_limit) \
         SELECT p.owner_id, p.id, decode(n.hash, 'hex'), n.prefix, 0 FROM new_keys n JOIN projects p USING (slug); \
         DROP TABLE new_keys",
    )?;
    Ok(keys.iter().map(|key| key.expose().to_owned()).collect())
}

/// Computes the vectors of full-text search of all documents, which a server does in the background, so that it does nothing else
/// while it is measured; returns the time.
pub fn vectors(postgres: &Postgres) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let step = "SELECT app.fill_fts(100, 16777216, '2 s'); SELECT EXISTS (SELECT 1 FROM public.documents WHERE fts IS NULL)";
    while postgres.psql(step)?.trim().ends_with('t') {}
    Ok(began.elapsed())
}

/// Writes rows in parts, so that no file is large.
fn copy(
    postgres: &Postgres,
    home: &Path,
    into: &str,
    rows: usize,
    mut row: impl FnMut(usize, &mut String),
) -> anyhow::Result<()> {
    const PART: usize = 20_000;
    let file = home.join("rows.sql");
    for part in 0..rows.div_ceil(PART) {
        let mut text = format!("COPY {into} FROM STDIN;\n");
        for number in part * PART..rows.min((part + 1) * PART) {
            row(number, &mut text);
        }
        text.push_str("\\.\n");
        std::fs::write(&file, text)?;
        postgres.psql_file(&file)?;
    }
    Ok(std::fs::remove_file(file)?)
}
