//! The words of headings in eleven languages, by role. Headings are compared after normalisation, so case, accents,
//! numbers and punctuation are ignored. A phrase of several words may be part of a longer heading; a single word only
//! if it is one of [`super::title_words::WITHIN`].

mod chinese;
mod english;
mod french;
mod german;
mod italian;
mod japanese;
mod korean;
mod polish;
mod portuguese;
mod russian;
mod spanish;

use super::role::Role;

/// Phrases of one language by role; a row's phrases are separated by commas.
type Phrases = &'static [(Role, &'static str)];

/// All languages. Where two have the same phrase, the first one decides.
const LANGUAGES: [Phrases; 11] = [
    english::PHRASES,
    german::PHRASES,
    french::PHRASES,
    spanish::PHRASES,
    portuguese::PHRASES,
    italian::PHRASES,
    russian::PHRASES,
    polish::PHRASES,
    chinese::PHRASES,
    japanese::PHRASES,
    korean::PHRASES,
];

/// All rows, in order.
pub(super) fn phrases() -> impl Iterator<Item = &'static (Role, &'static str)> {
    LANGUAGES.into_iter().flatten()
}
