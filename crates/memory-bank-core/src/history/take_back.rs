//! Takes back some of a document's changes and keeps the others, where they touch different lines.

use std::ops::ControlFlow;

use crate::history::{Chain, Damage, LineRange, Link, Snapshot, Version, VersionKind, take_back_lines};

/// The tool whose versions may have taken back others.
const TOOL: &str = "history";
/// How many earlier undos of a document are recognised.
const MAX_EARLIER: usize = 8;

/// Why changes of a document cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// They created it, and it was changed since.
    ChangedSince,
    /// It was deleted since.
    DeletedSince,
    /// They deleted it, and it exists again.
    ExistsAgain,
    /// They renamed it, and it was renamed again.
    RenamedSince,
    /// Their lines were changed since: these lines of the text now.
    Lines(Vec<LineRange>),
    /// The history does not lead back to the first of them.
    Damaged(Damage),
}

/// The result of taking changes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// The document without the changes; `None` if it is to be deleted.
    pub document: Option<Snapshot>,
    /// How many versions were taken back.
    pub versions: usize,
}

/// Takes back those versions of a chain that are `mine`. The chain begins with the oldest of them.
///
/// Successive changes are taken back as one. A version of the tool `history` that took back the same changes earlier is
/// recognised by its text, unless its own change was taken back since.
///
/// # Errors
/// The changes cannot be taken back.
pub fn take_back(chain: &Chain, mine: &dyn Fn(&Version) -> bool) -> Result<TakenBack, Obstacle> {
    let oldest = chain.links.iter().rposition(|link| mine(&link.version));
    let Some(oldest) = oldest else { return Ok(TakenBack { document: chain.now(), versions: 0 }) };
    let mut work = Work { now: Track::of(chain.now()), run: None, undo: None, earlier: Vec::new() };
    let mut place = 0;
    let walked = chain.walk(|link, after, before| {
        if mine(&link.version) {
            work.now.versions += 1;
            work.earlier.iter_mut().for_each(|earlier| earlier.track.versions += 1);
            if work.run.is_none() {
                work.run = Some(after.cloned());
            }
        } else {
            work.end_run(after);
            if is_undo(&link.version) {
                let expected = work.undo.take().unwrap_or_else(|| after.cloned());
                let older = chain.links.get(place + 1);
                if older.is_some_and(|older| !mine(&older.version) && is_one_undo(older, link)) {
                    work.undo = Some(expected);
                } else if !is_undone(chain, place) && work.earlier.len() < MAX_EARLIER {
                    let (track, without) = (Track::of(before.cloned()), work.now.clone());
                    work.earlier.push(Earlier { expected, track, without });
                }
            }
        }
        if place == oldest {
            work.end_run(before);
            return ControlFlow::Break(());
        }
        place += 1;
        ControlFlow::Continue(())
    });
    walked.map_err(Obstacle::Damaged)?;
    let done =
        work.earlier.into_iter().find(|earlier| earlier.track.document.as_ref() == Ok(&earlier.expected));
    let Track { document, versions } = done.map_or(work.now, |earlier| earlier.without);
    Ok(TakenBack { document: document?, versions })
}

/// The document, as far as the changes are taken back.
#[derive(Clone)]
struct Track {
    document: Result<Option<Snapshot>, Obstacle>,
    versions: usize,
}

/// A version that may have taken back all older changes.
struct Earlier {
    /// The document after it.
    expected: Option<Snapshot>,
    /// The document before it, as far as the changes are taken back.
    track: Track,
    /// The result if it did: only newer changes are taken back.
    without: Track,
}

struct Work {
    now: Track,
    /// The document after the changes that are being taken back as one.
    run: Option<Option<Snapshot>>,
    /// The document after an undo of which older versions follow.
    undo: Option<Option<Snapshot>>,
    earlier: Vec<Earlier>,
}

impl Track {
    fn of(document: Option<Snapshot>) -> Self {
        Self { document: Ok(document), versions: 0 }
    }

    fn take_back(&mut self, before: Option<&Snapshot>, after: Option<&Snapshot>) {
        if let Ok(current) = &self.document {
            self.document = merged(before, after, current.as_ref());
        }
    }
}

impl Work {
    fn end_run(&mut self, before: Option<&Snapshot>) {
        if let Some(after) = self.run.take() {
            let earlier = self.earlier.iter_mut().map(|earlier| &mut earlier.track);
            for track in earlier.chain([&mut self.now]) {
                track.take_back(before, after.as_ref());
            }
        }
    }
}

fn is_undo(version: &Version) -> bool {
    let restores =
        matches!(version.kind, VersionKind::Restored | VersionKind::Renamed | VersionKind::Deleted);
    restores && version.tool.as_deref() == Some(TOOL)
}

/// Whether these versions are of one undo: a database notes a renaming and a change of the text as two.
fn is_one_undo(older: &Link, newer: &Link) -> bool {
    let facts = |link: &Link| (link.version.at, link.version.session.clone(), link.version.author.clone());
    is_undo(&older.version) && facts(older) == facts(newer)
}

/// Whether a newer version left the document as it was before the one at this place.
fn is_undone(chain: &Chain, place: usize) -> bool {
    let Some(link) = chain.links.get(place) else { return false };
    chain.links.iter().take(place).any(|newer| newer.after() == link.before())
}

/// The current document without the change from `before` to `after`.
fn merged(
    before: Option<&Snapshot>,
    after: Option<&Snapshot>,
    current: Option<&Snapshot>,
) -> Result<Option<Snapshot>, Obstacle> {
    if current == after {
        return Ok(before.cloned());
    }
    if current == before || before == after {
        return Ok(current.cloned());
    }
    let (before, after, current) = match (before, after, current) {
        (_, _, None) => return Err(Obstacle::DeletedSince),
        (_, None, Some(_)) => return Err(Obstacle::ExistsAgain),
        (None, Some(_), Some(_)) => return Err(Obstacle::ChangedSince),
        (Some(before), Some(after), Some(current)) => (before, after, current),
    };
    let path = if before.path == after.path || current.path == before.path {
        &current.path
    } else if current.path == after.path {
        &before.path
    } else {
        return Err(Obstacle::RenamedSince);
    };
    let text = take_back_lines(&before.text, &after.text, &current.text).map_err(Obstacle::Lines)?;
    Ok(Some(Snapshot { path: path.clone(), text }))
}

/// The versions after `number` that changed its lines again, oldest first: the first one from which on its change cannot be
/// taken back, and those that follow.
#[must_use]
pub fn changed_again(chain: &Chain, number: i64) -> Vec<&Link> {
    let mut sides: Option<(Option<Snapshot>, Option<Snapshot>)> = None;
    let found = chain.walk(|link, after, before| {
        if link.version.number != number {
            return ControlFlow::Continue(());
        }
        sides = Some((before.cloned(), after.cloned()));
        ControlFlow::Break(())
    });
    let (Ok(()), Some((former, own))) = (found, sides) else { return Vec::new() };
    let mut again = Vec::new();
    let walked = chain.walk(|link, after, _| {
        if link.version.number == number || merged(former.as_ref(), own.as_ref(), after).is_ok() {
            return ControlFlow::Break(());
        }
        again.push(link);
        ControlFlow::Continue(())
    });
    if walked.is_err() {
        again.clear();
    }
    again.reverse();
    again
}
