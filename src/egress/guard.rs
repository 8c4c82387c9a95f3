//! Which addresses may be called: public ones, and networks that an operator allows.
//!
//! An address that somebody types, or that a name leads to, may be the machine itself, the network
//! behind it, or the cloud's metadata service; a caller that follows it lends its position to a
//! stranger (server-side request forgery). So every address is looked at after the name is
//! resolved, and the connection goes to the very address that was looked at: a second lookup could
//! give another one.

use crate::base::network::Network;
use hyper_util::client::legacy::connect::dns::Name;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// Whether anybody on the Internet could be reached at this address: none of the special ranges of
/// RFC 6890 and its registry. What embeds an IPv4 address is judged by that address too.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        // Shared by carriers (RFC 6598).
        || (a == 100 && (64..128).contains(&b))
        // Protocol assignments, and the relays of 6to4.
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        // Benchmarks (RFC 2544).
        || (a == 198 && (b == 18 || b == 19))
        // Multicast, reserved, broadcast.
        || a >= 224)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let embedded = |high: u16, low: u16| {
        is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
    };
    // Only 2000::/3 is given out; the translators' prefix is judged by what it stands for.
    if parts[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return embedded(parts[6], parts[7]);
    }
    if parts[0] & 0xe000 != 0x2000 {
        return false;
    }
    match (parts[0], parts[1]) {
        // Documentation, benchmarks, ORCHID and Teredo are within 2001::/23 or named here.
        (0x2001, 0xdb8) => false,
        (0x2001, second) if second < 0x200 => false,
        (0x3fff, second) if second < 0x1000 => false,
        // 6to4.
        (0x2002, second) => embedded(second, parts[2]),
        _ => true,
    }
}

/// Who may be called.
#[derive(Clone, Debug)]
pub(super) enum Guard {
    /// Anybody: the configured Graph API.
    Open,
    /// Public addresses and these networks.
    Only(Arc<[Network]>),
}

impl Guard {
    pub(super) fn lets_pass(&self, address: IpAddr) -> bool {
        match self {
            Self::Open => true,
            Self::Only(networks) => {
                is_public(address) || networks.iter().any(|network| network.contains(address))
            }
        }
    }
}

/// Looks names up and shows no address that the guard refuses.
#[derive(Clone, Debug)]
pub(super) struct Resolver(pub(super) Guard);

type Lookup = Pin<Box<dyn Future<Output = io::Result<std::vec::IntoIter<SocketAddr>>> + Send>>;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Lookup;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Lookup {
        let guard = self.0.clone();
        Box::pin(async move {
            // The port is put in by the connector.
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One bad address is enough: whoever answers so has no good intentions.
            if let Some(bad) = found.iter().find(|address| !guard.lets_pass(address.ip())) {
                let why = format!("{name} leads to {}, which is not public", bad.ip());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
            }
            Ok(found.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses() {
        for (address, want) in [
            ("8.8.8.8", true),
            ("157.240.0.53", true),
            ("2a03:2880:f212::1", true),
            ("2606:4700::1111", true),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("127.0.0.1", false),
            ("127.8.8.8", false),
            ("169.254.169.254", false),
            ("172.15.0.1", true),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.0.0.1", false),
            ("192.0.2.1", false),
            ("192.168.1.1", false),
            ("198.18.0.1", false),
            ("203.0.113.9", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("::7f00:1", false),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b::8.8.8.8", true),
            ("64:ff9b:1::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("2001:4860:4860::8888", true),
            ("2002:7f00:1::", false),
            ("2002:808:808::", true),
            ("3fff::1", false),
            ("fc00::1", false),
            ("fd00:ec2::254", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_public(address.parse().expect(address)), want, "{address}");
        }
    }
}
