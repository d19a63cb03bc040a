//! Makes memory banks of a given size on disk, as the server would have written them.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use memory_bank_core::document::CoreDocument;
use memory_bank_core::graph::event::{Event, MARKER};
use memory_bank_core::graph::rules::{EntityPlan, ObservationPlan, plan_relation};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::limits;
use memory_bank_core::store::{EntityDraft, ObservationAdded, ObservationDraft};
use tempfile::TempDir;

use crate::text::Prose;

/// How many lines one document holds at most: about 800 KB of the 1 MiB that are allowed.
pub const LINES: usize = 10_000;
/// The number of lines from one heading to the next.
const SECTION: usize = 25;
/// The number of observations for each entity.
const OBSERVATIONS: usize = 20;
/// The entity that holds a quarter of all observations.
pub const HUB: &str = "Component 0";

const SEED: u64 = 1;
const NOW: &str = "2026-01-01T00:00:00.000Z";

/// A project with a memory bank of `items` lines, or observations, or both. Deleted when dropped.
pub struct SizedBank {
    folder: TempDir,
    questions: Vec<String>,
    /// The question that makes the most work.
    pub frequent_question: String,
}

/// The contents of a bank.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Lines of documents.
    Documents,
    /// Observations.
    Graph,
    /// As many of each.
    Both,
}

impl SizedBank {
    /// Makes a bank in a folder of its own below `place`.
    pub fn make(place: &Path, content: Content, items: usize) -> anyhow::Result<Self> {
        let folder = TempDir::new_in(place).context("the place for the banks cannot be used")?;
        let bank = folder.path().join("memory-bank");
        std::fs::create_dir_all(&bank)?;
        for core in CoreDocument::ALL {
            std::fs::write(bank.join(core.path().as_str()), core.template())?;
        }
        let mut prose = Prose::new(SEED);
        let sentences: Vec<String> = (0..items).map(|_| prose.sentence()).collect();
        if content != Content::Graph {
            write_documents(&bank, &sentences)?;
        }
        if content != Content::Documents {
            write_graph(&bank, &sentences)?;
        }
        // The same questions for all sizes, as the sentences of the smallest are in all.
        let mut asking = Prose::new(SEED + 1);
        let questions = sentences.iter().take(50).map(|sentence| asking.question(sentence)).collect();
        Ok(Self { folder, questions, frequent_question: asking.frequent_question() })
    }

    /// The project's folder.
    pub fn project(&self) -> &Path {
        self.folder.path()
    }

    /// The bank's folder.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("memory-bank")
    }

    /// The question of a round.
    pub fn question(&self, round: usize) -> &str {
        &self.questions[round % self.questions.len()]
    }

    /// The entity of a round, not the hub: the same for all sizes.
    pub fn entity(round: usize) -> String {
        format!("Component {}", 1 + round % 4)
    }
}

/// The first [`LINES`] go to progress.md, the others to further documents.
fn write_documents(bank: &Path, sentences: &[String]) -> anyhow::Result<()> {
    for (number, lines) in sentences.chunks(LINES).enumerate() {
        let (name, mut text) = match number {
            0 => ("progress.md".to_owned(), "# Project Progress\n\n## Update History\n".to_owned()),
            _ => (format!("notes-{number}.md"), format!("# Notes {number}\n")),
        };
        for (at, line) in lines.iter().enumerate() {
            if at % SECTION == SECTION - 1 {
                text.push_str(&format!("\n## Part {number}.{at}: {}\n\n", line.get(..20).unwrap_or(line)));
            }
            text.push_str(&format!("- {line}\n"));
        }
        text.push_str("\n## End\n\n- Edited 0 times\n");
        ensure!(text.len() < limits::DOCUMENT_BYTES, "{name} is too large");
        std::fs::write(bank.join(name), text)?;
    }
    Ok(())
}

/// A quarter of the observations belong to one entity, the others are spread evenly; each entity has two relations.
fn write_graph(bank: &Path, sentences: &[String]) -> anyhow::Result<()> {
    let count = sentences.len().div_ceil(OBSERVATIONS).max(5);
    let mut entities = Vec::with_capacity(count);
    let mut log = format!("{MARKER}\n").into_bytes();
    let ts = || NOW.to_owned();
    for number in 0..count {
        let draft = EntityDraft {
            name: format!("Component {number}"),
            entity_type: ["service", "module", "decision", "person"][number % 4].to_owned(),
            attrs: None,
        };
        let entity = EntityPlan::new(draft)?.apply(None, NOW)?;
        Event::EntityUpsert { entity: entity.clone(), ts: ts() }.write_line(&mut log)?;
        entities.push(entity);
    }
    let none = GraphState::default();
    for (number, text) in sentences.iter().enumerate() {
        let owner = if number % 4 == 0 { &entities[0] } else { &entities[number % count] };
        let draft =
            ObservationDraft { text: text.clone(), timestamp: Some(ts()), ..ObservationDraft::default() };
        let ObservationAdded { observation, .. } =
            ObservationPlan::new(draft)?.apply(&owner.id, &[&none], NOW)?;
        Event::ObservationAdd { observation, ts: ts() }.write_line(&mut log)?;
    }
    for (number, entity) in entities.iter().enumerate() {
        for (step, kind) in [(1, "uses"), (7, "mentions")] {
            let to = &entities[(number + step) % count];
            let relation = plan_relation(&entity.id, kind, &to.id, NOW)?;
            Event::RelationAdd { relation, ts: ts() }.write_line(&mut log)?;
        }
    }
    std::fs::create_dir_all(bank.join("graph"))?;
    std::fs::write(bank.join("graph/graph.jsonl"), log)?;
    Ok(())
}
