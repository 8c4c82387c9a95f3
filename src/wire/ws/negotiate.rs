//! permessage-deflate: offers in, agreed parameters out (RFC 7692 §7.1).
//!
//! A client sends offers in the order of its preference. The first one that can be kept wins; one
//! with an unknown, repeated or invalid parameter is declined (§7), and the next one is looked at.
//! No offer left means no compression, which is never an error.

use super::header_list::{Malformed, Scan};

/// Window sizes of RFC 7692 §7.1.2, as exponents of two.
pub const WINDOW_BITS_MIN: u8 = 8;
/// See [`WINDOW_BITS_MIN`]; also the size when nobody says one.
pub const WINDOW_BITS_MAX: u8 = 15;
/// The smallest window our raw deflate can hold itself to: zlib has no raw stream of 2^8.
pub const WINDOW_BITS_DEFLATE_MIN: u8 = 9;

/// Whether a direction keeps its window from message to message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takeover {
    /// Later messages refer to earlier ones: smaller frames, and a context held per connection.
    Keep,
    /// Every message stands alone, so one compressed form serves every receiver and an idle
    /// connection holds no context.
    Reset,
}

/// What was agreed for the messages of one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Direction {
    /// Whether the window outlives a message.
    pub takeover: Takeover,
    /// Window size as an exponent of two: 8 to 15 for a client, 9 to 15 for the server.
    pub window_bits: u8,
}

impl Direction {
    /// What holds when an offer says nothing.
    pub const DEFAULT: Self = Self { takeover: Takeover::Keep, window_bits: WINDOW_BITS_MAX };
}

/// The agreed extension: it is exactly what the response states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parameters {
    /// How the server compresses.
    pub server: Direction,
    /// How the client compresses.
    pub client: Direction,
}

impl Parameters {
    /// Appends the value of the response's `Sec-WebSocket-Extensions`.
    pub fn write(&self, out: &mut Vec<u8>) {
        assert!(self.server.window_bits >= WINDOW_BITS_DEFLATE_MIN);
        assert!(self.client.window_bits >= WINDOW_BITS_MIN);
        out.extend_from_slice(b"permessage-deflate");
        for (side, direction) in [("server", self.server), ("client", self.client)] {
            assert!(direction.window_bits <= WINDOW_BITS_MAX);
            if direction.takeover == Takeover::Reset {
                out.extend_from_slice(format!("; {side}_no_context_takeover").as_bytes());
            }
            if direction.window_bits < WINDOW_BITS_MAX {
                let bits = direction.window_bits;
                out.extend_from_slice(format!("; {side}_max_window_bits={bits}").as_bytes());
            }
        }
    }
}

/// What this server wants, within what a client allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// `Reset` asks for it in every response, which §7.1.1.1 allows.
    pub server_takeover: Takeover,
    /// As `server_takeover`, for the client (§7.1.1.2).
    pub client_takeover: Takeover,
    /// Our own window, 9 to 15: memory per context against size of frames.
    pub server_window_bits_max: u8,
    /// The client's window, 8 to 15; asked for only if the offer allows it (§7.1.2.2).
    pub client_window_bits_max: u8,
}

impl Policy {
    /// No context between messages: the memory of an idle connection stays what it is without
    /// compression, and a room's message is compressed once.
    pub const STATELESS: Self = Self {
        server_takeover: Takeover::Reset,
        client_takeover: Takeover::Reset,
        server_window_bits_max: WINDOW_BITS_MAX,
        client_window_bits_max: WINDOW_BITS_MAX,
    };

    /// As the client likes it: the best compression, up to 300 KiB per connection.
    pub const AS_OFFERED: Self = Self {
        server_takeover: Takeover::Keep,
        client_takeover: Takeover::Keep,
        server_window_bits_max: WINDOW_BITS_MAX,
        client_window_bits_max: WINDOW_BITS_MAX,
    };
}

/// One offer as it stands in the request: each parameter at most once.
#[derive(Clone, Copy, Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<Option<u8>>,
}

/// Reads one `Sec-WebSocket-Extensions` value and agrees to the first acceptable offer in it.
///
/// The whole value is checked against the grammar even when its first offer is taken: RFC 6455
/// §9.1 wants a handshake with a malformed one refused.
pub fn choose(value: &[u8], policy: &Policy) -> Result<Option<Parameters>, Malformed> {
    assert!(policy.server_window_bits_max >= WINDOW_BITS_DEFLATE_MIN);
    assert!(policy.client_window_bits_max >= WINDOW_BITS_MIN);
    let mut chosen = None;
    let mut scan = Scan::new(value);
    while scan.next_element()? {
        let name = scan.token()?;
        let offer = read_offer(&mut scan)?;
        if chosen.is_none() && name.eq_ignore_ascii_case(b"permessage-deflate") {
            chosen = offer.and_then(|offer| agree(&offer, policy));
        }
    }
    Ok(chosen)
}

/// Reads the parameters of one offer; `None` if it must be declined.
fn read_offer(scan: &mut Scan<'_>) -> Result<Option<Offer>, Malformed> {
    let mut offer = Some(Offer::default());
    while scan.eat(b';') {
        let name = scan.token()?;
        let value = if scan.eat(b'=') { Some(scan.parameter_value()?) } else { None };
        offer = offer.and_then(|offer| with_parameter(offer, name, value));
    }
    Ok(offer)
}

fn with_parameter(mut offer: Offer, name: &[u8], value: Option<&[u8]>) -> Option<Offer> {
    let is_new = match (name, value) {
        (b"server_no_context_takeover", None) => {
            !std::mem::replace(&mut offer.server_no_context_takeover, true)
        }
        (b"client_no_context_takeover", None) => {
            !std::mem::replace(&mut offer.client_no_context_takeover, true)
        }
        (b"server_max_window_bits", Some(value)) => {
            offer.server_max_window_bits.replace(window_bits(value)?).is_none()
        }
        (b"client_max_window_bits", value) => {
            let bits = match value {
                Some(value) => Some(window_bits(value)?),
                None => None,
            };
            offer.client_max_window_bits.replace(bits).is_none()
        }
        _ => false,
    };
    is_new.then_some(offer)
}

/// A decimal number from 8 to 15 without leading zeros (§7.1.2).
fn window_bits(value: &[u8]) -> Option<u8> {
    let bits = match *value {
        [ones @ b'8'..=b'9'] => ones - b'0',
        [b'1', ones @ b'0'..=b'5'] => 10 + (ones - b'0'),
        _ => return None,
    };
    assert!((WINDOW_BITS_MIN..=WINDOW_BITS_MAX).contains(&bits));
    Some(bits)
}

fn agree(offer: &Offer, policy: &Policy) -> Option<Parameters> {
    let server_bits = offer.server_max_window_bits.unwrap_or(WINDOW_BITS_MAX);
    if server_bits < WINDOW_BITS_DEFLATE_MIN {
        return None;
    }
    // Without the parameter the client may not understand a bound, so none may be set. With a
    // value, the client promises that bound whether or not we repeat it.
    let client_bits = match offer.client_max_window_bits {
        Some(promised) => promised.unwrap_or(WINDOW_BITS_MAX).min(policy.client_window_bits_max),
        None => WINDOW_BITS_MAX,
    };
    let takeover = |wanted: Takeover, forbidden: bool| {
        if forbidden { Takeover::Reset } else { wanted }
    };
    Some(Parameters {
        server: Direction {
            takeover: takeover(policy.server_takeover, offer.server_no_context_takeover),
            window_bits: server_bits.min(policy.server_window_bits_max),
        },
        client: Direction {
            takeover: takeover(policy.client_takeover, offer.client_no_context_takeover),
            window_bits: client_bits,
        },
    })
}
