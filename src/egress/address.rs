//! Where calls go: the Graph API's address, and the rules for all others.

use super::guard::Guard;
use crate::base::names::is_graph_version;
use crate::base::network::Network;
use hyper::Uri;
use std::fmt;
use std::net::IpAddr;

/// The Graph API: base URL and version, and what is built from them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GraphAddress {
    /// `https://graph.facebook.com`, without a slash at the end.
    base: Box<str>,
    /// `v25.0`.
    version: Box<str>,
}

/// What is wrong with an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressError {
    /// No absolute `http:` or `https:` address.
    NotAnAddress,
    /// It names a user or a password, which belong elsewhere.
    Credentials,
    /// Without TLS only networks that are allowed by name may be called.
    NotHttps,
    /// It is not public.
    NotPublic,
    /// An id with something else in it than letters, digits, `_` and `-`.
    NotAnId,
    /// No version like `v25.0`.
    NotAVersion,
}

impl fmt::Display for AddressError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NotAnAddress => "not an address like https://example.org/path",
            Self::Credentials => "an address must not hold a user name or password",
            Self::NotHttps => "must begin with https://",
            Self::NotPublic => "its address is not public and no allowed network holds it",
            Self::NotAnId => "an id holds letters, digits, _ and - only",
            Self::NotAVersion => "not a version like v25.0",
        })
    }
}

impl std::error::Error for AddressError {}

/// Hosts of the platform on which files lie, besides the one of the base URL.
const MEDIA_HOSTS: [&str; 3] = [".fbsbx.com", ".facebook.com", ".whatsapp.net"];

impl GraphAddress {
    /// Checks both. TLS may be left out only for the machine itself: a token goes along.
    pub fn new(base: &str, version: &str) -> Result<Self, AddressError> {
        let base = base.strip_suffix('/').unwrap_or(base);
        let uri = parse(base)?;
        let host = host(&uri);
        let local = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if uri.scheme_str() != Some("https") && !local {
            return Err(AddressError::NotHttps);
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(AddressError::NotAnAddress);
        }
        if !is_graph_version(version) {
            return Err(AddressError::NotAVersion);
        }
        Ok(Self { base: base.into(), version: version.into() })
    }

    /// `{base}/{version}/{id}{edge}`.
    pub(super) fn object(&self, id: &str, edge: &str) -> Result<Uri, AddressError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if id.is_empty() || id.len() > 256 || !id.bytes().all(fits) {
            return Err(AddressError::NotAnId);
        }
        let url = format!("{}/{}/{id}{edge}", self.base, self.version);
        url.parse().map_err(|_| AddressError::NotAnAddress)
    }

    /// Whether a token may go there, and whether it is the base URL's own host: a file's address
    /// comes from an answer, and not every answer is worth a token.
    pub(super) fn media(&self, url: &str) -> Result<(Uri, bool), AddressError> {
        let uri = parse(url)?;
        let base: Uri = self.base.parse().expect("checked when made");
        if uri.scheme() == base.scheme() && uri.authority() == base.authority() {
            return Ok((uri, true));
        }
        if uri.scheme_str() != Some("https") {
            return Err(AddressError::NotHttps);
        }
        let host = host(&uri).to_ascii_lowercase();
        match MEDIA_HOSTS.iter().any(|suffix| host.ends_with(suffix)) {
            true => Ok((uri, false)),
            false => Err(AddressError::NotPublic),
        }
    }
}

/// An absolute address without credentials.
fn parse(url: &str) -> Result<Uri, AddressError> {
    let uri: Uri = url.parse().map_err(|_| AddressError::NotAnAddress)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || host(&uri).is_empty() {
        return Err(AddressError::NotAnAddress);
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') { Err(AddressError::Credentials) } else { Ok(uri) }
}

/// Without the brackets of an IPv6 address.
fn host(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or("");
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// An address of somebody's choice. A literal address never meets the resolver, so it is judged
/// here; a name is judged by what it leads to. Without TLS only a literal address in an allowed
/// network will do.
pub(super) fn guarded(url: &str, guard: &Guard) -> Result<Uri, AddressError> {
    let uri = parse(url)?;
    let literal: Option<IpAddr> = host(&uri).parse().ok();
    if literal.is_some_and(|address| !guard.lets_pass(address)) {
        return Err(AddressError::NotPublic);
    }
    let allowed = match guard {
        Guard::Open => true,
        Guard::Only(networks) => {
            literal.is_some_and(|address| networks.iter().any(|network| network.contains(address)))
        }
    };
    if uri.scheme_str() != Some("https") && !allowed {
        return Err(AddressError::NotHttps);
    }
    Ok(uri)
}

/// Whether calls may go to `url`, as far as it says itself: a name is judged again by what it leads
/// to whenever it is called. `networks` may be reached although they are not public.
pub fn check_url(url: &str, networks: &[Network]) -> Result<(), AddressError> {
    guarded(url, &Guard::Only(networks.into())).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graph_addresses() {
        let check = |base: &str, version: &str, want: Result<(), AddressError>| {
            assert_eq!(GraphAddress::new(base, version).map(|_| ()), want, "{base} {version}");
        };
        check("https://graph.facebook.com", "v25.0", Ok(()));
        check("https://graph.facebook.com/", "v25.0", Ok(()));
        check("http://127.0.0.1:8090", "v25.0", Ok(()));
        check("http://localhost:8090", "v25.0", Ok(()));
        check("http://[::1]:8090", "v25.0", Ok(()));
        check("http://10.0.0.1", "v25.0", Err(AddressError::NotHttps));
        check("http://localhost.example.org", "v25.0", Err(AddressError::NotHttps));
        check("https://a:b@graph.facebook.com", "v25.0", Err(AddressError::Credentials));
        check("https://graph.facebook.com/x", "v25.0", Err(AddressError::NotAnAddress));
        check("ftp://graph.facebook.com", "v25.0", Err(AddressError::NotAnAddress));
        check("graph.facebook.com", "v25.0", Err(AddressError::NotAnAddress));
        check("https://graph.facebook.com", "25", Err(AddressError::NotAVersion));
        check("https://graph.facebook.com", "v25.0/x", Err(AddressError::NotAVersion));
    }

    #[test]
    fn objects_and_files() {
        let graph = GraphAddress::new("https://graph.facebook.com", "v25.0").expect("fits");
        let url = graph.object("1102", "/messages").expect("an id").to_string();
        assert_eq!(url, "https://graph.facebook.com/v25.0/1102/messages");
        for bad in ["", "..", "1/2", "1?a", "1 2", "é"] {
            assert_eq!(graph.object(bad, ""), Err(AddressError::NotAnId), "{bad}");
        }
        let media = |url: &str| graph.media(url).map(|(_, own)| own);
        assert_eq!(media("https://graph.facebook.com/x?y=1"), Ok(true));
        assert_eq!(media("https://lookaside.fbsbx.com/whatsapp?mid=1"), Ok(false));
        assert_eq!(media("http://lookaside.fbsbx.com/"), Err(AddressError::NotHttps));
        assert_eq!(media("https://fbsbx.com.evil.example/"), Err(AddressError::NotPublic));
        assert_eq!(media("https://evilfbsbx.com/"), Err(AddressError::NotPublic));
        assert_eq!(media("https://a@lookaside.fbsbx.com/"), Err(AddressError::Credentials));
    }

    #[test]
    fn addresses_of_somebodys_choice() {
        let networks = ["10.1.0.0/16", "127.0.0.1"].map(|text| text.parse().expect(text));
        let guard = Guard::Only(networks.into());
        for (url, want) in [
            ("https://example.org/hook", Ok(())),
            ("https://8.8.8.8/", Ok(())),
            ("http://example.org/hook", Err(AddressError::NotHttps)),
            ("http://8.8.8.8/", Err(AddressError::NotHttps)),
            ("http://10.1.2.3:80/", Ok(())),
            ("http://127.0.0.1:9/", Ok(())),
            ("https://10.2.0.1/", Err(AddressError::NotPublic)),
            ("https://169.254.169.254/latest", Err(AddressError::NotPublic)),
            ("https://[::1]/", Err(AddressError::NotPublic)),
            ("https://[::ffff:169.254.169.254]/", Err(AddressError::NotPublic)),
            ("https://u:p@example.org/", Err(AddressError::Credentials)),
            ("file:///etc/passwd", Err(AddressError::NotAnAddress)),
            ("/hook", Err(AddressError::NotAnAddress)),
            ("https://", Err(AddressError::NotAnAddress)),
        ] {
            assert_eq!(guarded(url, &guard).map(|_| ()), want, "{url}");
        }
    }
}
