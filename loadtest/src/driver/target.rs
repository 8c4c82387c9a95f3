//! Where to connect, from a URL as people write it.

use super::Failure;
use std::net::{SocketAddr, ToSocketAddrs};

/// One server address with the path to ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Host and port as written: the `Host` header.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// The first address the host resolves to.
    pub address: SocketAddr,
}

impl Target {
    /// Resolves `ws://host:port/path`; scheme and path may be left out.
    ///
    /// # Errors
    /// For a scheme that needs TLS, and for a host that does not resolve.
    pub fn resolve(url: &str, path_default: &str) -> Result<Self, Failure> {
        let (host, path) = split(url, path_default)?;
        let found = host.to_socket_addrs().map(|mut addresses| addresses.next());
        match found {
            Ok(Some(address)) => Ok(Self { host, path, address }),
            Ok(None) => Err(Failure::new(format!("{host} has no address"))),
            Err(error) => Err(Failure::new(format!("cannot resolve {host}: {error}"))),
        }
    }

    /// The URL of a path, as the tungstenite client wants it.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.host)
    }
}

fn split(url: &str, path_default: &str) -> Result<(String, String), Failure> {
    let rest = match url.split_once("://") {
        Some(("ws" | "http", rest)) => rest,
        Some(("wss" | "https", _)) => {
            let what = format!("{url}: this tool speaks no TLS");
            return Err(Failure::new(what).hint("load the plain port behind the TLS front"));
        }
        Some((scheme, _)) => {
            return Err(Failure::new(format!("{url}: unknown scheme {scheme}://"))
                .hint("write it like ws://127.0.0.1:8080/echo"));
        }
        None => url,
    };
    let (host, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let path = match path {
        "" | "/" => path_default.to_string(),
        path if path.starts_with('?') => format!("{path_default}{path}"),
        path => path.to_string(),
    };
    if host.is_empty() {
        return Err(Failure::new(format!("{url}: no host")));
    }
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let host = if has_port { host.to_string() } else { format!("{host}:80") };
    Ok((host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        check("ws://127.0.0.1:8080/echo", "127.0.0.1:8080 /echo");
        check("127.0.0.1:8080", "127.0.0.1:8080 /ws");
        check("http://localhost:1/", "localhost:1 /ws");
        check("ws://h?x=1", "h:80 /ws?x=1");
        check("[::1]:9000/a/b", "[::1]:9000 /a/b");
        check("wss://h/ws", "error: wss://h/ws: this tool speaks no TLS");
        check("ftp://h", "error: ftp://h: unknown scheme ftp://");
        check("ws:///x", "error: ws:///x: no host");
    }

    #[track_caller]
    fn check(url: &str, want: &str) {
        let got = match split(url, "/ws") {
            Ok((host, path)) => format!("{host} {path}"),
            Err(failure) => format!("error: {}", failure.what),
        };
        assert_eq!(got, want, "{url}");
    }
}
