//! Embeddings: a text as a vector, so that texts with similar meaning are near each other. [`Embedder`] computes
//! them; nothing here knows a model, a file or a network.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::dates::dates_in;
use super::unit::{Unit, UnitKind};
use crate::limits;
use crate::unicode::{is_alphabetic, is_alphanumeric};

/// The most values of a vector.
pub const DIMENSIONS: usize = 4096;
/// The longest name of a model, in bytes.
pub const MODEL_NAME_BYTES: usize = 200;
/// The longest text of a passage, in bytes; models read less than that.
pub const PASSAGE_BYTES: usize = 4 * 1024;

/// Identifies a passage by its text: the first 16 bytes of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitHash([u8; 16]);

impl UnitHash {
    /// The hash of this text.
    #[must_use]
    pub fn of(passage: &str) -> Self {
        let digest = Sha256::digest(passage.as_bytes());
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(bytes)
    }

    /// The hash that was stored as these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for UnitHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// A text that is to be embedded, with its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The hash of the text.
    pub hash: UnitHash,
    /// The text.
    pub text: String,
}

impl Passage {
    /// The text of a unit that a model embeds: the headings above it and its own words. `None` for a unit without words of its
    /// own.
    #[must_use]
    pub fn of(unit: &Unit) -> Option<Self> {
        if unit.kind == UnitKind::Document || !unit.text.chars().any(is_alphanumeric) {
            return None;
        }
        let mut text = String::new();
        let own = usize::from(unit.kind == UnitKind::Heading);
        for heading in unit.path.iter().take(unit.path.len().saturating_sub(own)) {
            let heading = subject_of(heading);
            if !heading.is_empty() {
                text.push_str(&heading);
                text.push_str(": ");
            }
        }
        text.push_str(unit.text.trim());
        let mut end = text.len().min(PASSAGE_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        Some(Self { hash: UnitHash::of(&text), text })
    }
}

/// The words of a heading without its date. The day and the number of a session or an entry would make the vectors of all
/// passages below it similar; a heading with no other words has no subject.
fn subject_of(heading: &str) -> Cow<'_, str> {
    let dates = dates_in(heading);
    if dates.is_empty() {
        return Cow::Borrowed(heading);
    }
    let mut rest = String::new();
    let mut from = 0;
    for date in dates {
        rest.push_str(heading.get(from..date.start).unwrap_or_default());
        from = date.end;
        // A date in brackets has them, and the time in them.
        if let Some(before) = rest.trim_end().strip_suffix('[') {
            rest.truncate(before.len());
            let behind = heading.get(from..).unwrap_or_default();
            from += behind.find(']').map_or(0, |end| end + 1);
        }
        rest.push(' ');
    }
    rest.push_str(heading.get(from..).unwrap_or_default());
    let has_digit = |word: &&str| word.bytes().any(|byte| byte.is_ascii_digit());
    let words: Vec<&str> = rest.split_whitespace().filter(|word| !has_digit(word)).collect();
    let is_word = |word: &&&str| word.chars().filter(|c| is_alphabetic(*c)).nth(2).is_some();
    let is_wide = |word: &&str| word.chars().any(|c| c.is_alphabetic() && !c.is_ascii() && c > '\u{2E7F}');
    if words.iter().filter(is_word).nth(1).is_some() || words.iter().any(is_wide) {
        Cow::Owned(words.join(" "))
    } else {
        Cow::Borrowed("")
    }
}

/// A vector of length one as small whole numbers with their scale.
#[derive(Clone, PartialEq)]
pub struct Vector {
    scale: f32,
    values: Box<[i8]>,
}

/// Its scale is never NaN.
impl Eq for Vector {}

/// Why values are not a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VectorError {
    /// None, or too many.
    #[error("a vector has from 1 to {DIMENSIONS} values, not {0}")]
    Dimension(usize),
    /// All are zero, or one is not a number.
    #[error("a vector of zeros, or with a value that is not a number")]
    Value,
    /// The bytes are not those of a vector.
    #[error("bytes that are not a vector")]
    Bytes,
}

impl Vector {
    /// The vector of these values, of any length; its direction counts.
    ///
    /// # Errors
    /// [`VectorError`] if there are none or too many, all are zero, or one is not finite.
    pub fn of(values: &[f32]) -> Result<Self, VectorError> {
        if values.is_empty() || values.len() > DIMENSIONS {
            return Err(VectorError::Dimension(values.len()));
        }
        let most = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        if !values.iter().all(|value| value.is_finite()) || most <= 0.0 {
            return Err(VectorError::Value);
        }
        // By the largest value first, so that no square is too large or too small.
        let length = values.iter().map(|value| f64::from(value / most).powi(2)).sum::<f64>().sqrt();
        #[expect(clippy::cast_possible_truncation, reason = "from -127 to 127, and a figure near one")]
        let vector = Self {
            scale: (1.0 / (127.0 * length)) as f32,
            values: values.iter().map(|value| (value / most * 127.0).round() as i8).collect(),
        };
        if vector.scale.is_normal() { Ok(vector) } else { Err(VectorError::Value) }
    }

    /// The number of its values.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.values.len()
    }

    /// The cosine of the angle between two vectors, about from -1 to 1; 0 between vectors of different dimensions.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        if self.dimension() == other.dimension() { cosine(self.parts(), other.parts()) } else { 0.0 }
    }

    /// The bytes to store: the scale as a little-endian `f32`, then a byte for each value.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let values = self.values.iter().flat_map(|value| value.to_le_bytes());
        self.scale.to_le_bytes().into_iter().chain(values).collect()
    }

    /// The vector that was stored as these bytes.
    ///
    /// # Errors
    /// [`VectorError`] if the bytes cannot be a vector's.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VectorError> {
        let (scale, values) = bytes.split_first_chunk::<4>().ok_or(VectorError::Bytes)?;
        let scale = f32::from_le_bytes(*scale);
        if values.is_empty() || values.len() > DIMENSIONS {
            return Err(VectorError::Dimension(values.len()));
        }
        // No vector of length one has another scale, and -128 comes from no value.
        let values: Box<[i8]> = values.iter().map(|value| i8::from_le_bytes([*value])).collect();
        let is_sound = scale.is_normal() && scale > 0.0 && scale <= 1.0 / 126.0;
        if !is_sound || values.contains(&i8::MIN) {
            Err(VectorError::Bytes)
        } else {
            Ok(Self { scale, values })
        }
    }

    pub(super) fn parts(&self) -> (f32, &[i8]) {
        (self.scale, &self.values)
    }
}

impl fmt::Debug for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a vector of {} values", self.values.len())
    }
}

/// The cosine of two vectors of one dimension, each as scale and values.
pub(super) fn cosine((one_scale, one): (f32, &[i8]), (other_scale, other): (f32, &[i8])) -> f32 {
    let dot: i32 = one.iter().zip(other).map(|(a, b)| i32::from(i16::from(*a) * i16::from(*b))).sum();
    #[expect(clippy::cast_precision_loss, reason = "a rounded sum is near enough")]
    let dot = dot as f32;
    dot * one_scale * other_scale
}

/// Identifies a model, so that vectors of two models are never compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelId {
    name: String,
    dimension: u16,
    digest: [u8; 8],
}

impl ModelId {
    /// A model by its name, the dimension of its vectors, and everything else that determines its vectors: weights,
    /// pooling, prefixes, the address of the service.
    ///
    /// # Errors
    /// [`VectorError::Dimension`] if no vector has this dimension.
    pub fn new(name: &str, dimension: usize, settings: &[&[u8]]) -> Result<Self, VectorError> {
        let bounded = u16::try_from(dimension).ok().filter(|_| (1..=DIMENSIONS).contains(&dimension));
        let mut hasher = Sha256::new();
        for setting in settings {
            hasher.update(u64::try_from(setting.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(setting);
        }
        let mut digest = [0; 8];
        digest.iter_mut().zip(hasher.finalize()).for_each(|(to, from)| *to = from);
        let mut name: String = name.chars().filter(|c| !c.is_control()).collect();
        while name.len() > MODEL_NAME_BYTES {
            name.pop();
        }
        Ok(Self { name, dimension: bounded.ok_or(VectorError::Dimension(dimension))?, digest })
    }

    /// The name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many values a vector has.
    #[must_use]
    pub fn dimension(&self) -> usize {
        usize::from(self.dimension)
    }
}

/// The text by which vectors are stored: `DIGEST-DIMENSION-NAME`; the same for the same model alone.
impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.digest)?;
        write!(f, "-{}-{}", self.dimension, self.name)
    }
}

/// Why a text was not embedded. The texts go to logs and to clients: they hold no key and no text of a document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EmbedError {
    /// It may work later: the service is down, too slow or busy.
    #[error("{0}")]
    Temporary(String),
    /// It does not work as it is set: a wrong key, model, dimension or folder.
    #[error("{0}")]
    Permanent(String),
}

impl EmbedError {
    /// Whether it may work later without a change of settings.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Temporary(_))
    }
}

/// Turns texts into vectors. A call may take long; a query goes before passages.
#[async_trait]
pub trait Embedder: fmt::Debug + Send + Sync {
    /// Which model it has. A service is asked, since only a reply shows the dimension; later calls cost nothing.
    async fn model(&self) -> Result<ModelId, EmbedError>;

    /// The most passages that one call takes.
    fn batch(&self) -> usize;

    /// The vectors of these passages, one for each, in order. Texts longer than the model reads are cut.
    async fn passages(&self, texts: Vec<String>) -> Result<Vec<Vector>, EmbedError>;

    /// The vector of a query.
    async fn query(&self, text: &str) -> Result<Vector, EmbedError>;

    /// How long a search waits for the vector of its query before words are searched alone.
    fn query_wait(&self) -> Duration {
        Duration::from_millis(limits::QUERY_VECTOR_WAIT_MS)
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn vectors_keep_their_direction_and_come_back_from_bytes() {
        let one = Vector::of(&[3.0, 4.0, 0.0]).unwrap();
        let same = Vector::of(&[3e20, 4e20, 0.0]).unwrap();
        let other = Vector::of(&[-4.0, 3.0, 0.0]).unwrap();
        assert!((one.cosine(&same) - 1.0).abs() < 0.01 && (one.cosine(&one) - 1.0).abs() < 0.01);
        assert!(one.cosine(&other).abs() < 0.01);
        assert!(one.cosine(&Vector::of(&[1.0]).unwrap()).abs() < f32::EPSILON);
        assert_eq!(Vector::from_bytes(&one.to_bytes()).unwrap(), one);
    }

    #[test]
    fn invalid_vectors_are_refused() {
        assert_eq!(Vector::of(&[]), Err(VectorError::Dimension(0)));
        assert_eq!(Vector::of(&vec![1.0; DIMENSIONS + 1]), Err(VectorError::Dimension(DIMENSIONS + 1)));
        for bad in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            assert_eq!(Vector::of(&bad), Err(VectorError::Value));
        }
        for bad in [&[][..], &[0, 0, 0], &[0; 4], &[0; 12], &[255; 12], &1.0_f32.to_le_bytes()] {
            assert!(Vector::from_bytes(bad).is_err(), "{bad:?}");
        }
        let mut bytes = Vector::of(&[1.0, 2.0]).unwrap().to_bytes();
        bytes.resize(4 + DIMENSIONS + 1, 0);
        assert_eq!(Vector::from_bytes(&bytes), Err(VectorError::Dimension(DIMENSIONS + 1)));
    }

    #[test]
    fn models_differ_by_the_settings_that_change_their_vectors() {
        let model = |name: &str, dimension, settings: &[&[u8]]| {
            ModelId::new(name, dimension, settings).unwrap().to_string()
        };
        assert_eq!(model("a", 3, &[b"w"]), model("a", 3, &[b"w"]));
        let first = model("a", 3, &[b"ab", b"c"]);
        for other in
            [model("b", 3, &[b"ab", b"c"]), model("a", 4, &[b"ab", b"c"]), model("a", 3, &[b"a", b"bc"])]
        {
            assert_ne!(first, other);
        }
        assert!(ModelId::new("a", 0, &[]).is_err() && ModelId::new("a", DIMENSIONS + 1, &[]).is_err());
        assert!(ModelId::new(&"ä".repeat(500), 1, &[]).unwrap().name().len() <= MODEL_NAME_BYTES);
    }

    #[test]
    fn a_passage_is_the_text_below_its_headings_and_bounded() {
        let unit = |kind, text: &str, path: &[&str]| Unit {
            kind,
            text: text.to_owned(),
            line: 1,
            lines: 1,
            from: 0,
            path: Arc::from(path.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>()),
            parent: None,
            previous: None,
            next: None,
        };
        let text = |unit: &Unit| Passage::of(unit).map(|passage| passage.text);
        assert_eq!(
            text(&unit(UnitKind::Item, "- tea", &["Shop", "Buy"])).as_deref(),
            Some("Shop: Buy: - tea")
        );
        assert_eq!(text(&unit(UnitKind::Heading, "Buy", &["Shop", "Buy"])).as_deref(), Some("Shop: Buy"));
        // The day of a talk does not describe its subject; the heading of an entry does.
        for (heading, expected) in [
            ("Session 3: 1:56 pm on 8 May, 2023", "- tea"),
            ("2026-03-01", "- tea"),
            ("Chat of 2025-01-12", "- tea"),
            ("[Jan 3, 2026, 9:30 AM] Feature: billing: retries", "Feature: billing: retries: - tea"),
            ("Phase 2", "Phase 2: - tea"),
        ] {
            assert_eq!(text(&unit(UnitKind::Item, "- tea", &[heading])).as_deref(), Some(expected));
        }
        assert_eq!(text(&unit(UnitKind::Document, "notes", &[])), None);
        assert_eq!(text(&unit(UnitKind::Paragraph, "---", &["Shop"])), None);
        let long = Passage::of(&unit(UnitKind::Paragraph, &"ä€".repeat(4000), &[])).unwrap();
        assert!(long.text.len() <= PASSAGE_BYTES && long.hash == UnitHash::of(&long.text));
        assert_eq!(UnitHash::from_bytes(*long.hash.as_bytes()), long.hash);
    }
}
