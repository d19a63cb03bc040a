//! Mixes the nearness of vectors into the scores of what words found, and adds what words did not find. Without vectors nothing
//! here is called, and the ranking is that of words alone.

use std::collections::HashSet;

use super::dense::Dense;
use super::rank::{Candidate, Scored};
use super::{Index, Slot};
use crate::search::query::Query;
use crate::search::rank::combine_scores;
use crate::search::unit::UnitKind;

/// How many units are added that are near, but hold no word of the query.
const MAX_NEAREST: usize = 200;
/// The share of the previous unit's nearness: an answer follows its question. That of the next unit adds nothing.
const PREVIOUS_SHARE: f64 = 0.4;
/// The least score that counts as 1, as a share of the sum of the rarities of the query's words: the best of several units
/// that contain little of the query is worth less than one that contains all of it.
const IDEAL_SHARE: f64 = 1.5;

impl Index {
    /// Mixes the vectors into the scores, if the query has one and the index has some; returns whether it did. Scores stay on
    /// the scale of words.
    pub(super) fn combine_with_meaning(
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
        let nearness = VectorSimilarity::new(self, &cosines);
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
        // A query for one name finds the units that contain it; similar ones are added only if there are none.
        if query.is_single() && !candidates.is_empty() {
            nearest.clear();
        }
        if nearest.len() > MAX_NEAREST {
            nearest.select_nth_unstable_by(MAX_NEAREST, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            nearest.truncate(MAX_NEAREST);
        }
        candidates.extend(nearest.into_iter().filter_map(|(_, at)| scored.candidate(at)));
        let nears: Vec<Option<f64>> =
            candidates.iter().map(|one| self.slot(one.slot).and_then(near)).collect();
        let best = nears.iter().flatten().fold(0.0_f64, |best, near| best.max(*near));
        // Vectors of unrelated texts are not at right angles, so the average nearness does not count.
        let mean = (sum / count.max(1.0)).min(best);
        let spread = (best - mean).max(0.05);
        let ideal = IDEAL_SHARE * scored.rarity().iter().sum::<f64>();
        let scale = candidates.iter().fold(ideal, |most, one| most.max(one.score)).max(f64::MIN_POSITIVE);
        for (candidate, near) in candidates.iter_mut().zip(nears) {
            let near = near.map_or(0.0, |near| ((near - mean) / spread).clamp(0.0, 1.0));
            candidate.score = scale * combine_scores(candidate.score / scale, Some(near));
            candidate.has_own_hit = true;
        }
        true
    }
}

/// How near units are, with the unit before each.
struct VectorSimilarity<'a> {
    index: &'a Index,
    cosines: &'a [f32],
    /// How near units are on average.
    mean: f64,
}

impl<'a> VectorSimilarity<'a> {
    fn new(index: &'a Index, cosines: &'a [f32]) -> Self {
        let known = || cosines.iter().filter(|near| near.is_finite()).map(|near| f64::from(*near));
        #[expect(clippy::cast_precision_loss, reason = "a count of units")]
        let count = known().count().max(1) as f64;
        Self { index, cosines, mean: known().sum::<f64>() / count }
    }

    /// The first unit of a section has none before it; the average takes its place.
    fn of(&self, slot: &Slot) -> Option<f64> {
        let own = self.own(slot)?;
        let previous = slot.previous.and_then(|at| self.own(self.index.slot(at)?));
        Some(own + PREVIOUS_SHARE * previous.unwrap_or(self.mean))
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
