//! Access tokens by number, in a form that does not print.

use crate::base::hash::Map;
use crate::base::secret::Secret;
use hyper::header::HeaderValue;

/// A token for each number, or one for all.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    any: Option<Secret>,
    of: Map<Box<str>, Secret>,
}

impl Tokens {
    /// The token of every number that has none of its own.
    pub fn set_any(&mut self, token: Secret) {
        self.any = Some(token);
    }

    /// The token of one number.
    pub fn set(&mut self, number: &str, token: Secret) {
        self.of.insert(number.into(), token);
    }

    /// The header that shows it; marked so that no library prints it. `None` when there is no
    /// token, or one that no header can hold.
    pub(super) fn bearer(&self, number: &str) -> Option<HeaderValue> {
        let token = self.of.get(number).or(self.any.as_ref())?;
        let bytes = [b"Bearer ", token.expose()].concat();
        let mut value = HeaderValue::from_bytes(&bytes).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}
