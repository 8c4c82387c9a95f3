//! Linear scanning of header lists: tokens, parameters, quoted strings (RFC 9110 §5.6).
//!
//! ```text
//! list      = [ element ] *( OWS "," OWS [ element ] )     empty elements are ignored (§5.6.1.2)
//! parameter = OWS ";" OWS token [ "=" ( token | quoted-string ) ]
//! ```
//!
//! Every byte is looked at a bounded number of times and nothing is allocated: regular expressions
//! over these two headers have taken servers down.

/// The value does not follow the grammar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// A position in one header value.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    rest: &'a [u8],
    /// Whether an element was begun, so that the next one needs a comma before it.
    begun: bool,
}

impl<'a> Scan<'a> {
    /// Begins at the first byte that is no white space.
    pub fn new(value: &'a [u8]) -> Self {
        let mut scan = Self { rest: value, begun: false };
        scan.skip_space();
        scan
    }

    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes a token and the white space behind it.
    pub fn token(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.rest.iter().position(|&byte| !is_token_byte(byte));
        let (token, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if token.is_empty() {
            return Err(Malformed);
        }
        self.rest = rest;
        self.skip_space();
        Ok(token)
    }

    /// Takes `delimiter` and the white space behind it, if it comes next.
    pub fn eat(&mut self, delimiter: u8) -> bool {
        let found = self.rest.first() == Some(&delimiter);
        if found {
            self.rest = &self.rest[1..];
            self.skip_space();
        }
        found
    }

    /// Takes a parameter's value: a token, or a quoted string without its quotes.
    ///
    /// Backslashes are left in: no value that we understand has one, so it will match nothing.
    pub fn parameter_value(&mut self) -> Result<&'a [u8], Malformed> {
        let [b'"', inner @ ..] = self.rest else {
            return self.token();
        };
        let mut index = 0;
        loop {
            match inner.get(index) {
                Some(b'"') => break,
                Some(b'\\') => index += 2,
                Some(&byte) if byte == b'\t' || (byte >= b' ' && byte != 0x7f) => index += 1,
                Some(_) | None => return Err(Malformed),
            }
        }
        self.rest = &inner[index + 1..];
        self.skip_space();
        Ok(&inner[..index])
    }

    /// Goes to the next element of a list; `false` at the end of the value.
    ///
    /// Call it before the first element too: it skips empty ones.
    pub fn next_element(&mut self) -> Result<bool, Malformed> {
        if self.begun && !self.is_done() && self.rest[0] != b',' {
            return Err(Malformed);
        }
        self.begun = true;
        while self.eat(b',') {}
        Ok(!self.is_done())
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}

/// Calls `visit` with each element of a list of tokens, in order.
pub fn each_token<'a>(value: &'a [u8], mut visit: impl FnMut(&'a [u8])) -> Result<(), Malformed> {
    let mut scan = Scan::new(value);
    while scan.next_element()? {
        visit(scan.token()?);
    }
    Ok(())
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
