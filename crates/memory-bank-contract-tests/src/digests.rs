//! Banks in the layouts and languages that people have, each with the digest that is right for it, in `fixtures/digests`.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use memory_bank_core::document::{
    Digest, DigestBounds, DigestExtras, DigestSource, DocumentFacts, DocumentPath, digest, digest_documents,
    estimated_tokens,
};
use memory_bank_core::store::{Bank, DocumentStore, Drafts, ReadOutcome};
use serde_json::Value;

use crate::Project;

/// A bank and its digest.
pub struct SampleBank {
    /// The name of its file.
    pub name: String,
    /// Its documents.
    pub files: Vec<(String, String)>,
    /// The digest that is right for it.
    pub expected: Value,
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/digests")
}

/// All banks, by name.
#[must_use]
pub fn banks() -> Vec<SampleBank> {
    let mut names: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bank"))
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let files = text
                .split("=== ")
                .skip(1)
                .map(|part| part.split_once('\n').unwrap())
                .map(|(name, text)| (name.trim().to_owned(), text.to_owned()))
                .collect();
            let expected =
                fs::read_to_string(path.with_extension("json")).unwrap_or_else(|_| "null".to_owned());
            SampleBank {
                name: path.file_stem().unwrap().to_string_lossy().into_owned(),
                files,
                expected: serde_json::from_str(&expected).unwrap(),
            }
        })
        .collect()
}

/// A budget without cuts.
fn unbounded() -> DigestBounds {
    DigestBounds { tokens: 20_000, ..DigestBounds::default() }
}

fn digest_of(sources: &[(String, String)], bounds: DigestBounds) -> Digest {
    let sources: Vec<DigestSource<'_>> =
        sources.iter().map(|(name, text)| DigestSource { name, text }).collect();
    digest(&sources, &DigestExtras::default(), bounds)
}

/// Every bank has the expected digest, which fits into the default budget.
///
/// # Panics
/// A digest differs.
pub fn every_layout_has_its_digest() {
    let mut wrong = Vec::new();
    for bank in banks() {
        let facts: Vec<DocumentFacts<'_>> = bank
            .files
            .iter()
            .map(|(name, text)| DocumentFacts {
                name,
                bytes: text.len() as u64,
                updated_at: Timestamp::UNIX_EPOCH,
            })
            .collect();
        let read: Vec<(String, String)> = digest_documents(&facts)
            .into_iter()
            .map(|name| bank.files.iter().find(|(known, _)| known == name).unwrap().clone())
            .collect();
        let found = serde_json::to_value(digest_of(&read, unbounded())).unwrap();
        if std::env::var_os("WRITE_DIGESTS").is_some() {
            let path = folder().join(format!("{}.json", bank.name));
            fs::write(path, format!("{}\n", serde_json::to_string_pretty(&found).unwrap())).unwrap();
        } else if found != bank.expected {
            wrong.push(format!("{}:\n{found:#}", bank.name));
        }
        let short = serde_json::to_string(&digest_of(&read, DigestBounds::default())).unwrap();
        assert!(estimated_tokens(&short) <= DigestBounds::default().tokens, "{}: {short}", bank.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The digest of a bank of any layout is the same when it is read from a store, for all banks whose names the store takes.
///
/// # Panics
/// A digest differs.
pub async fn a_bank_of_any_layout_has_a_digest(project: Project) {
    let mut compared = 0;
    for bank in banks() {
        let paths: Result<Vec<DocumentPath>, _> =
            bank.files.iter().map(|(name, _)| DocumentPath::parse(name)).collect();
        let Ok(paths) = paths else { continue };
        // Of one kind, the one that was written last is read first: they are written so that this is the order of names.
        for (path, (_, text)) in paths.iter().zip(&bank.files).rev() {
            project.write(path.as_str(), text).await;
        }
        let found = from_store(project.bank.as_ref(), &project).await;
        let canonical: Vec<(String, String)> = {
            let mut files: Vec<_> = paths
                .iter()
                .zip(&bank.files)
                .map(|(path, (_, text))| (path.canonical().as_str().to_owned(), text.clone()))
                .collect();
            files.sort();
            files
        };
        let expected = digest_of(&canonical, unbounded());
        assert_eq!(found, expected, "{}", bank.name);
        let mut editor = |drafts: &mut Drafts| paths.iter().try_for_each(|path| drafts.delete(path));
        project.bank.edit(&project.caller, &paths, &mut editor).await.unwrap();
        compared += 1;
    }
    assert!(compared >= 25, "{compared}");
}

async fn from_store(bank: &dyn Bank, project: &Project) -> Digest {
    let listed = bank.list(&project.caller).await.unwrap();
    let facts: Vec<DocumentFacts<'_>> = listed
        .iter()
        .filter(|entry| entry.path.is_some())
        .map(|entry| DocumentFacts { name: &entry.name, bytes: entry.bytes, updated_at: entry.updated_at })
        .collect();
    let paths: Vec<DocumentPath> =
        digest_documents(&facts).into_iter().map(|name| DocumentPath::parse(name).unwrap()).collect();
    let read = DocumentStore::read(bank, &project.caller, &paths).await.unwrap();
    let mut files: Vec<(String, String)> = read
        .into_iter()
        .map(|outcome| match outcome {
            ReadOutcome::Found(document) => (document.path.as_str().to_owned(), document.content),
            other => panic!("{other:?}"),
        })
        .collect();
    files.sort();
    digest_of(&files, unbounded())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_layout_has_its_digest() {
        super::every_layout_has_its_digest();
    }
}
