//! The passages that a model refused. Each is offered again after a wait that doubles, so that a text that no model reads costs
//! little, and one that was refused by mistake gets its vector. They are forgotten when the process ends.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use memory_bank_core::search::UnitHash;
use tokio::time::Instant;

/// The most refused passages of a project, and of all projects; past it a passage is offered again with the next search.
const OF_PROJECT: usize = 1000;
const PASSAGES: usize = 20_000;
/// The first wait and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(10 * 60);
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Clone, Copy)]
struct Refusal {
    times: u32,
    until: Instant,
}

/// Refused passages by project.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    projects: HashMap<String, HashMap<UnitHash, Refusal>>,
    count: usize,
}

impl Refusals {
    /// The passages of a project that are not offered now.
    pub(super) fn of(&self, project: &str, now: Instant) -> HashSet<UnitHash> {
        let known = self.projects.get(project).into_iter().flatten();
        known.filter(|(_, refusal)| refusal.until > now).map(|(hash, _)| *hash).collect()
    }

    /// Notes that the model refused a passage; false if there is no room for it.
    pub(super) fn add(&mut self, project: &str, hash: UnitHash, now: Instant) -> bool {
        if self.count >= PASSAGES || self.projects.get(project).is_some_and(|known| known.len() >= OF_PROJECT)
        {
            self.remove_old(now);
        }
        let has_room = self.count < PASSAGES;
        let known = self.projects.entry(project.to_owned()).or_default();
        let times = known.get(&hash).map_or(0, |refusal| refusal.times);
        if times == 0 && !(has_room && known.len() < OF_PROJECT) {
            return false;
        }
        self.count += usize::from(times == 0);
        let until = now + FIRST_WAIT.saturating_mul(1 << times.min(16)).min(LONGEST_WAIT);
        known.insert(hash, Refusal { times: times.saturating_add(1), until });
        true
    }

    /// Forgets what got its vector in the end.
    pub(super) fn remove(&mut self, project: &str, made: impl IntoIterator<Item = UnitHash>) {
        let Some(known) = self.projects.get_mut(project) else { return };
        for hash in made {
            self.count -= usize::from(known.remove(&hash).is_some());
        }
        if known.is_empty() {
            self.projects.remove(project);
        }
    }

    /// Forgets those that may be offered again: their texts may be gone.
    fn remove_old(&mut self, now: Instant) {
        for known in self.projects.values_mut() {
            known.retain(|_, refusal| refusal.until > now);
        }
        self.projects.retain(|_, known| !known.is_empty());
        self.count = self.projects.values().map(HashMap::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refused_passage_waits_longer_each_time_and_their_number_is_bounded() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let hash = UnitHash::of("bad");
        let mut now = start;
        for wait in [600, 1200, 2400] {
            refusals.add("one", hash, now);
            assert!(refusals.of("one", now + Duration::from_secs(wait - 1)).contains(&hash));
            assert!(refusals.of("other", now).is_empty());
            now += Duration::from_secs(wait);
            assert!(refusals.of("one", now).is_empty());
        }
        refusals.remove("one", [hash]);
        let projects = PASSAGES / OF_PROJECT;
        for project in 0..=projects {
            for number in 0..=OF_PROJECT {
                let is_kept = refusals.add(&project.to_string(), UnitHash::of(&number.to_string()), now);
                assert_eq!(is_kept, project < projects && number < OF_PROJECT, "{project} {number}");
            }
        }
        assert_eq!((refusals.of("0", now).len(), refusals.count), (OF_PROJECT, PASSAGES));
        assert!(refusals.add("two", hash, now + FIRST_WAIT));
        assert_eq!(refusals.count, 1, "the old ones made room");
    }
}
