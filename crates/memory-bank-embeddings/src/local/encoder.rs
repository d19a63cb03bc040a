//! The encoder of BERT and RoBERTa: one text at a time, without padding.

use candle_core::{D, Device, Module, Result, Tensor};
use candle_nn::{
    Embedding, LayerNorm, Linear, VarBuilder, embedding, layer_norm, linear, ops::softmax_last_dim,
};

use super::folder::{Config, Pooling};

pub(super) struct Encoder {
    words: Embedding,
    positions: Embedding,
    kinds: Option<Embedding>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    first_position: u32,
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    output_norm: LayerNorm,
    wide: Linear,
    narrow: Linear,
    norm: LayerNorm,
    heads: usize,
    act: Activation,
}

#[derive(Clone, Copy)]
enum Activation {
    Gelu,
    GeluTanh,
    Relu,
}

impl Encoder {
    pub(super) fn new(config: &Config, vars: &VarBuilder<'_>) -> Result<Self> {
        let size = config.hidden_size;
        let embeddings = vars.pp("embeddings");
        let kinds = match config.type_vocab_size {
            0 => None,
            count => Some(embedding(count, size, embeddings.pp("token_type_embeddings"))?),
        };
        let layers = (0..config.num_hidden_layers)
            .map(|number| Layer::new(config, &vars.pp("encoder.layer").pp(number)))
            .collect::<Result<_>>()?;
        Ok(Self {
            words: embedding(config.vocab_size, size, embeddings.pp("word_embeddings"))?,
            positions: embedding(config.max_position_embeddings, size, embeddings.pp("position_embeddings"))?,
            kinds,
            norm: layer_norm(size, config.layer_norm_eps, embeddings.pp("LayerNorm"))?,
            layers,
            first_position: u32::try_from(config.first_position()).unwrap_or_default(),
        })
    }

    /// The vector of a text by its tokens.
    pub(super) fn vector(&self, tokens: &[u32], pooling: Pooling) -> Result<Vec<f32>> {
        let ids = Tensor::new(tokens, &Device::Cpu)?;
        let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        let places =
            Tensor::arange(self.first_position, self.first_position.saturating_add(count), &Device::Cpu)?;
        let mut states = (self.words.forward(&ids)? + self.positions.forward(&places)?)?;
        if let Some(kinds) = &self.kinds {
            states = (states + kinds.forward(&ids.zeros_like()?)?)?;
        }
        states = self.norm.forward(&states)?;
        for layer in &self.layers {
            states = layer.forward(&states)?;
        }
        match pooling {
            Pooling::Mean => states.mean(0)?.to_vec1(),
            Pooling::First => states.get(0)?.to_vec1(),
        }
    }
}

impl Layer {
    fn new(config: &Config, vars: &VarBuilder<'_>) -> Result<Self> {
        let (size, wide) = (config.hidden_size, config.intermediate_size);
        let attention = vars.pp("attention");
        let norm = |vars: VarBuilder<'_>| layer_norm(size, config.layer_norm_eps, vars);
        Ok(Self {
            query: linear(size, size, attention.pp("self.query"))?,
            key: linear(size, size, attention.pp("self.key"))?,
            value: linear(size, size, attention.pp("self.value"))?,
            output: linear(size, size, attention.pp("output.dense"))?,
            output_norm: norm(attention.pp("output.LayerNorm"))?,
            wide: linear(size, wide, vars.pp("intermediate.dense"))?,
            narrow: linear(wide, size, vars.pp("output.dense"))?,
            norm: norm(vars.pp("output.LayerNorm"))?,
            heads: config.num_attention_heads,
            act: match config.hidden_act.as_str() {
                "relu" => Activation::Relu,
                "gelu" => Activation::Gelu,
                _ => Activation::GeluTanh,
            },
        })
    }

    fn forward(&self, states: &Tensor) -> Result<Tensor> {
        let (count, size) = states.dims2()?;
        let width = size / self.heads;
        let split = |part: Tensor| part.reshape((count, self.heads, width))?.transpose(0, 1)?.contiguous();
        let (query, key, value) = (
            split(self.query.forward(states)?)?,
            split(self.key.forward(states)?)?,
            split(self.value.forward(states)?)?,
        );
        #[expect(clippy::cast_precision_loss, reason = "a width below 4096")]
        let scale = 1.0 / (width as f64).sqrt();
        let weights = (query.matmul(&key.transpose(D::Minus2, D::Minus1)?.contiguous()?)? * scale)?;
        let context = softmax_last_dim(&weights)?.matmul(&value)?;
        let context = context.transpose(0, 1)?.contiguous()?.reshape((count, size))?;
        let attended = self.output_norm.forward(&(self.output.forward(&context)? + states)?)?;
        let wide = self.wide.forward(&attended)?;
        let wide = match self.act {
            Activation::Gelu => wide.gelu_erf(),
            Activation::GeluTanh => wide.gelu(),
            Activation::Relu => wide.relu(),
        }?;
        self.norm.forward(&(self.narrow.forward(&wide)? + attended)?)
    }
}
