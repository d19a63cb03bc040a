//! Takes back some of a document's changes and keeps the others, where they touch different lines.

use std::ops::ControlFlow;

use crate::history::{Chain, Damage, LineRange, Link, Snapshot, Version, VersionKind, live, take_back_lines};

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
/// Successive changes are taken back as one. What an earlier undo took back is left out, unless that undo was taken back since.
///
/// # Errors
/// The changes cannot be taken back.
pub fn take_back(chain: &Chain, mine: &dyn Fn(&Version) -> bool) -> Result<TakenBack, Obstacle> {
    let is_mine = |link: &Link| mine(&link.version);
    let live = live(
        &chain.links,
        |link| link.version.facts(),
        is_mine,
        |newer, place| restores(chain, newer, place),
    );
    let versions = live.iter().filter(|is_live| **is_live).count();
    let Some(oldest) = live.iter().rposition(|is_live| *is_live) else {
        return Ok(TakenBack { document: chain.now(), versions });
    };
    let mut document = Ok(chain.now());
    // The document after the changes that are being taken back as one.
    let mut run: Option<Option<Snapshot>> = None;
    let mut places = live.iter().enumerate();
    let mut end_run = |run: &mut Option<Option<Snapshot>>, before: Option<&Snapshot>| {
        if let (Some(after), Ok(current)) = (run.take(), &document) {
            document = merged(before, after.as_ref(), current.as_ref());
        }
    };
    let walked = chain.walk(|_, after, before| {
        let Some((place, is_live)) = places.next() else { return ControlFlow::Break(()) };
        if !is_live {
            end_run(&mut run, after);
        } else if run.is_none() {
            run = Some(after.cloned());
        }
        if place == oldest {
            end_run(&mut run, before);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    walked.map_err(Obstacle::Damaged)?;
    Ok(TakenBack { document: document?, versions })
}

/// Whether a newer version that is no undo brought back the document as it was before the version at this place: a restore, or a
/// change of the session that made this version.
fn restores(chain: &Chain, newer: usize, place: usize) -> bool {
    let (Some(newer), Some(link)) = (chain.links.get(newer), chain.links.get(place)) else { return false };
    let is_own = newer.version.session.is_some() && newer.version.session == link.version.session;
    newer.version.undoes.is_none()
        && (newer.version.kind == VersionKind::Restored || is_own)
        && newer.after() == link.before()
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
