//! Which changes of one document, or of one item of the graph, an undo takes back.

use crate::history::ChangeFacts;

/// Which of these changes, newest first, are to be taken back: those that are `mine`, but neither what an undo took back that still
/// holds, nor such an undo if it is `mine` itself and took back nothing else.
///
/// `restores`: whether the change at the first place, which an undo did not make, brought back the state before the change at the
/// second place. The undo at the second place still holds if that change is taken back as well: now, or by a later undo.
pub(crate) fn live<'c, C>(
    changes: &'c [C],
    facts: impl Fn(&'c C) -> ChangeFacts<'c>,
    mine: impl Fn(&'c C) -> bool,
    restores: impl Fn(usize, usize) -> bool,
) -> Vec<bool> {
    let mut undone = vec![false; changes.len()];
    let mut live: Vec<bool> = changes.iter().map(&mine).collect();
    for (place, change) in changes.iter().enumerate() {
        let ChangeFacts { undoes: Some(mark), imported, .. } = facts(change) else { continue };
        let stays = |newer: &usize| undone.get(*newer) == Some(&false) && live.get(*newer) == Some(&false);
        let is_restored_over = (0..place).filter(stays).any(|newer| restores(newer, place));
        if undone.get(place).is_none_or(|undone| *undone) || is_restored_over {
            continue;
        }
        let older = changes.iter().enumerate().skip(place + 1);
        // An undo may have several changes of a document or item.
        let taken: Vec<(usize, bool)> = older
            .filter(|(_, other)| {
                let known = facts(other);
                known.undoes != Some(mark) && mark.matches(&known, imported)
            })
            .map(|(older, other)| (older, mine(other)))
            .collect();
        let took_mine = taken.iter().any(|(_, is_mine)| *is_mine);
        let took_others = taken.iter().any(|(older, is_mine)| !is_mine && undone.get(*older) == Some(&false));
        if mine(change) && took_others {
            // It is taken back like any other change, so that what it took of others comes back.
            continue;
        }
        for (older, _) in taken {
            for flags in [(&mut undone, true), (&mut live, false)] {
                if let Some(flag) = flags.0.get_mut(older) {
                    *flag = flags.1;
                }
            }
        }
        if took_mine && let Some(live) = live.get_mut(place) {
            *live = false;
        }
    }
    live
}
