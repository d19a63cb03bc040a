//! The files of a sentence-transformer: the kind of model, the pooling of its vectors, and the prefixes of texts.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The largest file of settings, of a tokenizer, and of weights, in bytes.
const MAX_SETTINGS_BYTES: u64 = 1024 * 1024;
const MAX_TOKENIZER_BYTES: u64 = 64 * 1024 * 1024;
const MAX_WEIGHTS_BYTES: u64 = 1536 * 1024 * 1024;
/// The most tokens of a text, even if a model accepts more: time grows faster than length.
const MAX_TOKENS: usize = 512;
/// The longest prefix, in bytes.
const MAX_PREFIX_BYTES: usize = 1024;

/// Why a folder cannot be used as a model.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A file is missing or cannot be read.
    #[error(
        "`{0}` cannot be read: {1}; the folder must hold a sentence-transformer with `config.json`, `tokenizer.json` and `model.safetensors`"
    )]
    File(String, String),
    /// A file is too large.
    #[error("`{0}` has more than {1} bytes")]
    TooLarge(String, u64),
    /// A file is invalid.
    #[error("`{0}` cannot be used: {1}")]
    Unusable(String, String),
    /// A kind of model that is not supported.
    #[error(
        "`{0}` is `{1}`, which is not supported; models of the families `bert`, `roberta` and `xlm-roberta` are (MiniLM, E5, BGE, GTE)"
    )]
    Family(&'static str, String),
    /// A thread cannot be started.
    #[error("a thread for the model cannot be started: {0}")]
    Thread(String),
}

/// How the vectors of tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooling {
    Mean,
    First,
}

/// `config.json`, as far as it matters.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Config {
    pub(super) model_type: String,
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) max_position_embeddings: usize,
    #[serde(default)]
    pub(super) type_vocab_size: usize,
    #[serde(default = "gelu")]
    pub(super) hidden_act: String,
    #[serde(default = "epsilon")]
    pub(super) layer_norm_eps: f64,
    #[serde(default)]
    pub(super) pad_token_id: usize,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

fn gelu() -> String {
    "gelu".to_owned()
}

fn epsilon() -> f64 {
    1e-12
}

impl Config {
    /// The position of the first token: RoBERTa counts from behind the padding.
    pub(super) fn first_position(&self) -> usize {
        if self.model_type == "bert" { 0 } else { self.pad_token_id.saturating_add(1) }
    }

    fn check(&self) -> Result<(), ModelError> {
        if !matches!(self.model_type.as_str(), "bert" | "roberta" | "xlm-roberta") {
            return Err(ModelError::Family("model_type", self.model_type.clone()));
        }
        if let Some(kind) = self.position_embedding_type.as_ref().filter(|kind| *kind != "absolute") {
            return Err(ModelError::Family("position_embedding_type", kind.clone()));
        }
        if !matches!(self.hidden_act.as_str(), "gelu" | "gelu_new" | "gelu_pytorch_tanh" | "relu") {
            return Err(ModelError::Family("hidden_act", self.hidden_act.clone()));
        }
        let within = (1..=4096).contains(&self.hidden_size)
            && (1..=16_384).contains(&self.intermediate_size)
            && (1..=48).contains(&self.num_hidden_layers)
            && (1..=64).contains(&self.num_attention_heads)
            && self.hidden_size.is_multiple_of(self.num_attention_heads)
            && (1..=1_000_000).contains(&self.vocab_size)
            && self.type_vocab_size <= 16
            && (8..=65_536).contains(&self.max_position_embeddings)
            && self.first_position() + 8 <= self.max_position_embeddings
            && self.layer_norm_eps > 0.0;
        if within {
            Ok(())
        } else {
            Err(ModelError::Unusable("config.json".to_owned(), "a size in it is out of bounds".to_owned()))
        }
    }
}

/// The settings of a model; the weights are not read yet.
#[derive(Debug, Clone)]
pub(super) struct ModelFolder {
    path: PathBuf,
    pub(super) config: Config,
    pub(super) pooling: Pooling,
    pub(super) query_prefix: String,
    pub(super) passage_prefix: String,
    /// The most tokens of a text, those at both ends among them.
    pub(super) tokens: usize,
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: String,
}

#[derive(Deserialize)]
struct PoolingConfig {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    #[serde(default)]
    pooling_mode_weightedmean_tokens: bool,
    #[serde(default)]
    pooling_mode_lasttoken: bool,
}

#[derive(Deserialize, Default)]
struct Prompts {
    #[serde(default)]
    prompts: Option<std::collections::BTreeMap<String, Option<String>>>,
}

#[derive(Deserialize, Default)]
struct MaxLength {
    #[serde(default)]
    max_seq_length: Option<usize>,
}

impl ModelFolder {
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let config: Config = required(path, "config.json")?;
        config.check()?;
        for (name, most) in
            [("tokenizer.json", MAX_TOKENIZER_BYTES), ("model.safetensors", MAX_WEIGHTS_BYTES)]
        {
            let held = fs_err::metadata(path.join(name));
            let held = held.map_err(|error| ModelError::File(name.to_owned(), error.kind().to_string()))?;
            if !held.is_file() {
                return Err(ModelError::File(name.to_owned(), "it is not a file".to_owned()));
            }
            if held.len() > most {
                return Err(ModelError::TooLarge(name.to_owned(), most));
            }
        }
        let pooling = pooling(path)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (query_prefix, passage_prefix) = prefixes(path, &name)?;
        let length: MaxLength = optional(path, "sentence_bert_config.json")?.unwrap_or_default();
        let positions = config.max_position_embeddings.saturating_sub(config.first_position());
        let tokens = length.max_seq_length.unwrap_or(MAX_TOKENS).clamp(8, MAX_TOKENS).min(positions);
        Ok(Self { path: path.to_owned(), config, pooling, query_prefix, passage_prefix, tokens })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the model: that of its folder.
    pub(super) fn name(&self) -> String {
        self.path.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    pub(super) fn tokenizer(&self) -> Result<Vec<u8>, ModelError> {
        bytes(&self.path, "tokenizer.json", MAX_TOKENIZER_BYTES)
    }

    pub(super) fn weights(&self) -> Result<Vec<u8>, ModelError> {
        bytes(&self.path, "model.safetensors", MAX_WEIGHTS_BYTES)
    }
}

/// The pooling of vectors by the list of the model's modules; the mean if there is no list.
fn pooling(path: &Path) -> Result<Pooling, ModelError> {
    let Some(modules) = optional::<Vec<Module>>(path, "modules.json")? else { return Ok(Pooling::Mean) };
    let mut pooling = None;
    for Module { kind, path: folder } in modules {
        match kind.rsplit('.').next().unwrap_or_default() {
            // Only the direction of a vector counts here, so that all are of length one.
            "Transformer" | "Normalize" => {}
            "Pooling" => {
                let is_inside = folder.len() < 64 && !folder.contains(['/', '\\']) && folder != "..";
                if !is_inside {
                    return Err(ModelError::Unusable("modules.json".to_owned(), "a path in it".to_owned()));
                }
                let name = format!("{folder}/config.json");
                let config: PoolingConfig = required(path, name.trim_start_matches('/'))?;
                let others = config.pooling_mode_max_tokens
                    || config.pooling_mode_mean_sqrt_len_tokens
                    || config.pooling_mode_weightedmean_tokens
                    || config.pooling_mode_lasttoken;
                pooling =
                    Some(match (config.pooling_mode_mean_tokens, config.pooling_mode_cls_token, others) {
                        (true, false, false) => Pooling::Mean,
                        (false, true, false) => Pooling::First,
                        _ => {
                            let why = "it requires another pooling than mean or cls".to_owned();
                            return Err(ModelError::Unusable(name, why));
                        }
                    });
            }
            other => return Err(ModelError::Family("modules.json", other.to_owned())),
        }
    }
    Ok(pooling.unwrap_or(Pooling::Mean))
}

/// The prefixes of queries and passages: those of the folder, else those of the family, which the folder's name shows.
fn prefixes(path: &Path, name: &str) -> Result<(String, String), ModelError> {
    let file = "config_sentence_transformers.json";
    let prompts = optional::<Prompts>(path, file)?.unwrap_or_default().prompts.unwrap_or_default();
    let of = |names: &[&str]| {
        let found = names.iter().filter_map(|name| prompts.get(*name)?.clone());
        found.into_iter().find(|prompt| !prompt.is_empty())
    };
    let (query, passage) =
        (of(&["query", "retrieval.query"]), of(&["passage", "document", "retrieval.passage"]));
    let (query, passage) = if query.is_some() || passage.is_some() {
        (query.unwrap_or_default(), passage.unwrap_or_default())
    } else {
        let (query, passage) = known_prefixes(name);
        (query.to_owned(), passage.to_owned())
    };
    if query.len() > MAX_PREFIX_BYTES || passage.len() > MAX_PREFIX_BYTES {
        return Err(ModelError::Unusable(
            file.to_owned(),
            format!("a prompt has more than {MAX_PREFIX_BYTES} bytes"),
        ));
    }
    Ok((query, passage))
}

fn known_prefixes(name: &str) -> (&'static str, &'static str) {
    let name = name.to_ascii_lowercase();
    let parts: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let has = |part: &str| parts.contains(&part);
    if has("e5") && has("instruct") {
        ("Instruct: Given a question, retrieve passages that answer it\nQuery: ", "")
    } else if has("e5") {
        ("query: ", "passage: ")
    } else if has("bge") && has("en") {
        ("Represent this sentence for searching relevant passages: ", "")
    } else if has("bge") && has("zh") {
        ("为这个句子生成表示以用于检索相关文章：", "")
    } else {
        ("", "")
    }
}

fn required<T: DeserializeOwned>(path: &Path, name: &str) -> Result<T, ModelError> {
    let bytes = bytes(path, name, MAX_SETTINGS_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|error| ModelError::Unusable(name.to_owned(), error.to_string()))
}

fn optional<T: DeserializeOwned>(path: &Path, name: &str) -> Result<Option<T>, ModelError> {
    if path.join(name).exists() { required(path, name).map(Some) } else { Ok(None) }
}

fn bytes(path: &Path, name: &str, most: u64) -> Result<Vec<u8>, ModelError> {
    let failed = |error: std::io::Error| ModelError::File(name.to_owned(), error.kind().to_string());
    let path = path.join(name);
    // Opening a pipe would wait without end.
    let length = match fs_err::metadata(&path).map_err(failed)? {
        held if held.is_file() => held.len(),
        _ => return Err(ModelError::File(name.to_owned(), "it is not a file".to_owned())),
    };
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(most)).unwrap_or_default());
    let file = fs_err::File::open(&path).map_err(failed)?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most { Err(ModelError::TooLarge(name.to_owned(), most)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"model_type": "bert", "vocab_size": 10, "hidden_size": 8, "intermediate_size": 16,
        "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64}"#;

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<ModelFolder, ModelError>) {
        let temp = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = temp.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let opened = ModelFolder::open(temp.path());
        (temp, opened)
    }

    fn refusal(files: &[(&str, &str)]) -> String {
        folder(files).1.unwrap_err().to_string()
    }

    const WHOLE: [(&str, &str); 2] = [("tokenizer.json", "{}"), ("model.safetensors", "x")];

    #[test]
    fn missing_files_and_other_model_families_are_named() {
        assert!(refusal(&[]).contains("`config.json` cannot be read"));
        assert!(refusal(&[("config.json", CONFIG)]).contains("`tokenizer.json`"));
        assert!(refusal(&[("config.json", CONFIG), WHOLE[0]]).contains("`model.safetensors`"));
        assert!(
            refusal(&[("config.json", &CONFIG.replace("bert", "mpnet"))])
                .contains("`mpnet`, which is not supported")
        );
        assert!(
            refusal(&[("config.json", &CONFIG.replace("\"hidden_size\": 8", "\"hidden_size\": 9"))])
                .contains("out of bounds")
        );
        let modules = r#"[{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]"#;
        assert!(
            refusal(&[("config.json", CONFIG), WHOLE[0], WHOLE[1], ("modules.json", modules)])
                .contains("`Dense`")
        );
        let modules = r#"[{"type": "x.Pooling", "path": "../../etc"}]"#;
        assert!(
            refusal(&[("config.json", CONFIG), WHOLE[0], WHOLE[1], ("modules.json", modules)])
                .contains("a path in it")
        );
    }

    #[test]
    fn pooling_length_and_prompts_come_from_the_folder() {
        let modules =
            r#"[{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "1_Pooling"}]"#;
        let files = [
            ("config.json", CONFIG),
            WHOLE[0],
            WHOLE[1],
            ("modules.json", modules),
            ("1_Pooling/config.json", r#"{"pooling_mode_cls_token": true}"#),
            ("sentence_bert_config.json", r#"{"max_seq_length": 4096}"#),
            ("config_sentence_transformers.json", r#"{"prompts": {"query": "ask: ", "document": ""}}"#),
        ];
        let opened = folder(&files).1.unwrap();
        assert_eq!((opened.pooling, opened.tokens), (Pooling::First, 64));
        assert_eq!((opened.query_prefix.as_str(), opened.passage_prefix.as_str()), ("ask: ", ""));
    }

    #[test]
    fn families_are_known_by_name() {
        assert_eq!(known_prefixes("multilingual-e5-small"), ("query: ", "passage: "));
        assert!(known_prefixes("bge-small-en-v1.5").0.starts_with("Represent"));
        assert_eq!(known_prefixes("bge-m3"), ("", ""));
        assert_eq!(known_prefixes("all-MiniLM-L6-v2"), ("", ""));
        assert_eq!(known_prefixes("paraphrase-multilingual-MiniLM-L12-v2"), ("", ""));
    }
}
