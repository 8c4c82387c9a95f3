//! What is kept while a question or call waits: which one of which definition, for whom, and the
//! values that what follows it speaks of.

use super::deed::Deed;
use super::handler::Handler;
use super::template::{Kept, Values, cut};
use crate::base::limits::HANDLER_VALUE_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// Stands as JSON in the log, or with a call: fields are short, and never change their meaning.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(super) struct Stored {
    /// The handler.
    #[serde(rename = "h")]
    pub handler: String,
    /// [`Handler::print`] of the definition: another one has other places.
    #[serde(rename = "v")]
    pub print: u64,
    /// The place: index in `do`, then 0 for `then` or 1 for `else`, index in that, and so on.
    pub at: Vec<u8>,
    /// Who was asked; empty: the contact of the conversation.
    #[serde(rename = "w")]
    pub who: String,
    /// Answers that were not as expected.
    #[serde(rename = "n", default)]
    pub tries: u32,
    /// [`Planned::depth`](super::Planned) of what follows.
    #[serde(rename = "d", default)]
    pub depth: u8,
    /// Values by placeholder.
    #[serde(rename = "k", default)]
    pub kept: Kept,
}

impl Stored {
    pub(super) fn read(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    pub(super) fn write(&self) -> Box<str> {
        serde_json::to_string(self).expect("texts and numbers serialise").into()
    }

    /// The deed at its place, when the definition is still the same.
    pub(super) fn deed<'h>(&self, handler: &'h Handler) -> Option<&'h Deed> {
        if handler.print() != self.print {
            return None;
        }
        let (first, rest) = self.at.split_first()?;
        let mut deed = handler.deeds().get(usize::from(*first))?;
        for pair in rest.chunks(2) {
            let &[branch, index] = pair else { return None };
            let next = deed.next()?;
            let list = if branch == 0 { &next.then } else { &next.otherwise };
            deed = list.get(usize::from(index))?;
        }
        Some(deed)
    }
}

/// The values that what follows `deed` speaks of, as far as they are known now.
pub(super) fn keep(deed: &Deed, values: &Values<'_>) -> Kept {
    let mut kept = Kept::new();
    let next = deed.next().expect("only what waits keeps");
    for placeholder in next.placeholders() {
        let value = values.known(placeholder);
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            kept.insert(placeholder.key.to_string(), cut(&value, HANDLER_VALUE_BYTES_MAX).into());
        }
    }
    kept
}
