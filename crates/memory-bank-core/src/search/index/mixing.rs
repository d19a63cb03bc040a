//! Mixes the nearness of vectors into the scores of what words found, and adds what words did not find. Without vectors nothing
//! here is called, and the ranking is that of words alone.

use std::collections::HashSet;

use super::dense::Dense;
use super::rank::{Candidate, Scored};
use super::{Index, Slot};
use crate::search::query::Query;
use crate::search::rank::mix;
use crate::search::unit::UnitKind;

/// How many units are added that are near, but hold no word of the query.
const NEAREST: usize = 200;
/// What the nearness of the unit before adds: an answer is near what it answers. That of the unit behind adds nothing.
const PREVIOUS: f64 = 0.4;
/// What all words of the query together are worth at least when scores are brought between 0 and 1, as a share of the sum of their
/// rarities: the best of units that hold little of the query is not as good as one that holds it all.
const IDEAL: f64 = 1.5;

impl Index {
    /// Mixes the vectors in, if the query has one and the index has some; says whether it did. Scores are on the scale of words
    /// afterwards.
    pub(super) fn mix_meaning(
        &self,
        query: &Query,
        scored: &Scored<'_>,
        candidates: &mut Vec<Candidate>,
        accepts: impl Fn(&Slot) -> bool,
    ) -> bool {
        let (Some(meaning), Some(dense)) = (query.meaning(), &self.dense) else { return false };
        if !dense.has_any() {
            return false;
        }
        let cosines = dense.cosines(meaning);
        let nearness = Nearness::new(self, &cosines);
        let near = |slot: &Slot| nearness.of(slot);
        let known: HashSet<u32> = candidates.iter().map(|one| one.slot).collect();
        let mut nearest: Vec<(f64, u32)> = Vec::new();
        let (mut sum, mut count) = (0.0, 0.0_f64);
        for (at, slot) in (0_u32..).zip(&self.slots) {
            let Some((slot, near)) = slot.as_ref().and_then(|slot| Some((slot, near(slot)?))) else {
                continue;
            };
            sum += near;
            count += 1.0;
            if !known.contains(&at) && slot.kind != UnitKind::Document && accepts(slot) {
                nearest.push((near, at));
            }
        }
        // A query for one name finds what contains it; what is like it comes only where nothing does.
        if query.is_single() && !candidates.is_empty() {
            nearest.clear();
        }
        if nearest.len() > NEAREST {
            nearest.select_nth_unstable_by(NEAREST, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            nearest.truncate(NEAREST);
        }
        candidates.extend(nearest.into_iter().filter_map(|(_, at)| scored.candidate(at)));
        let nears: Vec<Option<f64>> =
            candidates.iter().map(|one| self.slot(one.slot).and_then(near)).collect();
        let best = nears.iter().flatten().fold(0.0_f64, |best, near| best.max(*near));
        // Unrelated texts are not at right angles: what all are near on average counts for nothing.
        let mean = (sum / count.max(1.0)).min(best);
        let spread = (best - mean).max(0.05);
        let ideal = IDEAL * scored.rarity().iter().sum::<f64>();
        let scale = candidates.iter().fold(ideal, |most, one| most.max(one.score)).max(f64::MIN_POSITIVE);
        for (candidate, near) in candidates.iter_mut().zip(nears) {
            let near = near.map_or(0.0, |near| ((near - mean) / spread).clamp(0.0, 1.0));
            candidate.score = scale * mix(candidate.score / scale, Some(near));
            candidate.itself = true;
        }
        true
    }
}

/// How near units are, with what stands before them.
struct Nearness<'a> {
    index: &'a Index,
    cosines: &'a [f32],
    /// How near units are on average.
    mean: f64,
}

impl<'a> Nearness<'a> {
    fn new(index: &'a Index, cosines: &'a [f32]) -> Self {
        let known = || cosines.iter().filter(|near| near.is_finite()).map(|near| f64::from(*near));
        #[expect(clippy::cast_precision_loss, reason = "a count of units")]
        let count = known().count().max(1) as f64;
        Self { index, cosines, mean: known().sum::<f64>() / count }
    }

    /// The first of a section has nothing before it, and is no nearer or farther for that.
    fn of(&self, slot: &Slot) -> Option<f64> {
        let own = self.own(slot)?;
        let previous = slot.previous.and_then(|at| self.own(self.index.slot(at)?));
        Some(own + PREVIOUS * previous.unwrap_or(self.mean))
    }

    fn own(&self, slot: &Slot) -> Option<f64> {
        let near = self.cosines.get(slot.row as usize).copied()?;
        near.is_finite().then(|| f64::from(near))
    }
}

impl Dense {
    fn has_any(&self) -> bool {
        self.vectors > 0
    }
}
