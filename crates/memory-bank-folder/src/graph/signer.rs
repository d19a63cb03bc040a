//! Who signs the lines that a change adds to the log: the facts of the history, and the seal.

use memory_bank_core::error::StoreError;
use memory_bank_core::graph::event::{Event, Signature};

use super::begins::Begins;
use super::kept::begins_now;
use super::line_seal::{LineSeal, Mark};
use super::log;
use crate::dir::BankDir;
use crate::history::FolderHistory;

/// Who makes a change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signer {
    /// What the lines record; nothing if no history is kept.
    pub(crate) by: Signature,
    /// The history, which has the key of the seal.
    pub(super) history: Option<FolderHistory>,
}

/// A signer for the lines of one bank.
pub(super) struct BankSigner<'s> {
    pub(super) by: &'s Signature,
    pub(super) seal: Option<ChainSeal>,
}

/// The seal of a bank, and the last line of its log that has one.
#[derive(Debug, Clone)]
pub(super) struct ChainSeal {
    seal: LineSeal,
    last: Option<Mark>,
    /// What the first line states, if there is none.
    begins: Option<Begins>,
}

impl Signer {
    /// With the seal of a bank. The caller holds the bank's lock. Blocks.
    pub(super) fn for_bank(&self, dir: &BankDir) -> BankSigner<'_> {
        let seal = self.history.as_ref().and_then(|history| history.line_seal(dir));
        let chain = seal.and_then(|seal| {
            let chain = ChainSeal::of_bank(seal, dir);
            chain.inspect_err(|error| tracing::warn!(%error, "changes of the graph cannot be sealed")).ok()
        });
        BankSigner { by: &self.by, seal: chain }
    }
}

impl ChainSeal {
    fn of_bank(seal: LineSeal, dir: &BankDir) -> Result<Self, StoreError> {
        let last =
            log::last_sealed(dir, &seal).map_err(StoreError::io("cannot read the log of the graph"))?;
        let begins = match last {
            Some(_) => None,
            None => Some(begins_now(dir, Some(&seal))?),
        };
        Ok(Self { seal, last, begins })
    }
}

impl BankSigner<'_> {
    /// Writes an event as a line.
    pub(super) fn write(&mut self, event: &Event, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let start = out.len();
        event.write_signed(self.by, out)?;
        if let Some(ChainSeal { seal, last, begins }) = &mut self.seal {
            if let Some(begins) = begins.take() {
                begins.write(out)?;
            }
            seal.seal(last, start, out);
        }
        Ok(())
    }
}
