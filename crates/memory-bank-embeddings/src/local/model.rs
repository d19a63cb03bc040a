//! A model in memory: tokenizer, encoder, and the id of both.

use std::path::Path;

use candle_core::{DType, Device, safetensors::load_buffer};
use candle_nn::VarBuilder;
use memory_bank_core::search::{EmbedError, ModelId, PASSAGE_BYTES, Vector};
use sha2::{Digest, Sha256};
use tokenizers::{Tokenizer, TruncationParams};

use super::encoder::Encoder;
use super::folder::{ModelError, ModelFolder};

/// How the weights of a model's encoder may be named.
const ROOTS: [&str; 3] = ["", "bert", "roberta"];

/// A model that was read. It computes on the thread that calls it.
pub struct LocalModel {
    folder: ModelFolder,
    tokenizer: Tokenizer,
    encoder: Encoder,
    id: ModelId,
}

impl std::fmt::Debug for LocalModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalModel").field("id", &self.id).finish_non_exhaustive()
    }
}

impl LocalModel {
    /// Reads the model in this folder.
    ///
    /// # Errors
    /// [`ModelError`] if it cannot be used.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        Self::load(&ModelFolder::open(dir)?)
    }

    pub(super) fn load(folder: &ModelFolder) -> Result<Self, ModelError> {
        let tokenizer_bytes = folder.tokenizer()?;
        let unusable = |file: &str, why: String| ModelError::Unusable(file.to_owned(), why);
        let mut tokenizer = Tokenizer::from_bytes(&tokenizer_bytes)
            .map_err(|error| unusable("tokenizer.json", error.to_string()))?;
        let truncation = TruncationParams { max_length: folder.tokens, ..TruncationParams::default() };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|error| unusable("tokenizer.json", error.to_string()))?
            .with_padding(None);
        if tokenizer.get_vocab_size(true) > folder.config.vocab_size {
            let why = "it has more tokens than the vocabulary in `config.json`".to_owned();
            return Err(unusable("tokenizer.json", why));
        }
        let weights = folder.weights()?;
        let weights_digest = Sha256::digest(&weights);
        let wrong = |error: candle_core::Error| unusable("model.safetensors", first_line(&error.to_string()));
        let tensors = load_buffer(&weights, &Device::Cpu).map_err(wrong)?;
        drop(weights);
        let root = ROOTS.into_iter().find(|root| {
            let name = format!("{root}.embeddings.word_embeddings.weight");
            tensors.contains_key(name.trim_start_matches('.'))
        });
        let root =
            root.ok_or_else(|| unusable("model.safetensors", "it has no word embeddings".to_owned()))?;
        let vars = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let vars = if root.is_empty() { vars } else { vars.pp(root) };
        let encoder = Encoder::new(&folder.config, &vars).map_err(wrong)?;
        let settings = format!("{:?} {}", folder.pooling, folder.tokens);
        let id = ModelId::new(
            &folder.name(),
            folder.config.hidden_size,
            &[
                &weights_digest,
                &Sha256::digest(&tokenizer_bytes),
                settings.as_bytes(),
                folder.query_prefix.as_bytes(),
                folder.passage_prefix.as_bytes(),
            ],
        )
        .map_err(|error| unusable("config.json", error.to_string()))?;
        let model = Self { folder: folder.clone(), tokenizer, encoder, id };
        model.query("a first question").map_err(|error| unusable("model.safetensors", error.to_string()))?;
        Ok(model)
    }

    /// Which model it is.
    #[must_use]
    pub fn id(&self) -> &ModelId {
        &self.id
    }

    /// The vector of a passage.
    ///
    /// # Errors
    /// [`EmbedError`] if the model fails on it.
    pub fn passage(&self, text: &str) -> Result<Vector, EmbedError> {
        self.vector(&self.folder.passage_prefix, text)
    }

    /// The vector of a query.
    ///
    /// # Errors
    /// [`EmbedError`] if the model fails on it.
    pub fn query(&self, text: &str) -> Result<Vector, EmbedError> {
        self.vector(&self.folder.query_prefix, text)
    }

    fn vector(&self, prefix: &str, text: &str) -> Result<Vector, EmbedError> {
        let failed = |why: String| EmbedError::Permanent(format!("the model failed: {}", first_line(&why)));
        let text: String = prefix.chars().chain(bounded(text).chars()).collect();
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|error| failed(error.to_string()))?;
        let ids = encoding.get_ids();
        if ids.is_empty() || ids.len() > self.folder.tokens {
            return Err(failed(format!("a text became {} tokens", ids.len())));
        }
        let values =
            self.encoder.vector(ids, self.folder.pooling).map_err(|error| failed(error.to_string()))?;
        Vector::of(&values).map_err(|error| failed(error.to_string()))
    }
}

/// The beginning of a text that is read; a model reads less.
fn bounded(text: &str) -> &str {
    let mut end = text.len().min(PASSAGE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}
