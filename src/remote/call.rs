//! One request to a server, and what its answer says.

use super::{EXIT_ERROR, EXIT_REFUSED, Failure};
use crate::config::KEY_ENV;
use crate::egress::{
    Call, Caller, Egress, EgressOptions, Miss, Request, Roots, Timeouts, Tokens, channel,
};
use serde_json::Value;
use std::sync::mpsc;
use std::time::Duration;

/// Lists of ten thousand commands are long.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// How long a server may take, with the log of a slow disk.
const WITHIN: Duration = Duration::from_secs(30);

/// A running server.
pub(super) struct Server {
    base: String,
    key: Option<String>,
}

impl Server {
    pub(super) fn new(url: &str, key: Option<&str>) -> Self {
        let base = url.trim_end_matches('/').to_owned();
        Self { base, key: key.map(str::to_owned) }
    }

    /// Asks, and gives the JSON of a good answer.
    pub(super) fn ask(
        &self,
        method: &'static str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Value, Failure> {
        let mut all: Vec<(Box<str>, Box<str>)> =
            headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        if let Some(key) = &self.key {
            all.push(("Authorization".into(), format!("Bearer {key}").into()));
        }
        let request = Request::Api {
            method,
            url: format!("{}/api/v1/{path}", self.base).into(),
            headers: all,
            body: body.unwrap_or_default().as_bytes().into(),
            within: WITHIN,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let got = self.call(request)?;
        let value: Value = serde_json::from_slice(&got.1).unwrap_or_default();
        if (200..300).contains(&got.0) {
            return Ok(value);
        }
        Err(self.refused(got.0, &value))
    }

    /// One call, on a thread that ends with it.
    fn call(&self, request: Request) -> Result<(u16, Vec<u8>), Failure> {
        let anywhere = ["0.0.0.0/0", "::/0"].map(|network| network.parse().expect("a network"));
        let options = EgressOptions {
            graph: None,
            tokens: Tokens::default(),
            networks: anywhere.to_vec(),
            calls_max: 1,
            timeouts: Timeouts::default(),
            roots: Roots::default(),
        };
        let failed = |text: String| Failure::new(EXIT_ERROR, text, "");
        let (sender, calls) = channel(1);
        let (said, heard) = mpsc::channel();
        let egress = Egress::start(options, calls, move |reply| drop(said.send(reply.result)));
        let egress = egress.map_err(|error| failed(format!("no thread: {error}")))?;
        let call = Call { caller: Caller::Outbox, ticket: 0, request };
        sender.try_call(call).map_err(|_| failed("no thread".to_owned()))?;
        drop(sender);
        let result = heard.recv().expect("every call has its reply");
        // It has nothing left to do.
        let _ = egress.stop();
        match result {
            Ok(got) => Ok((got.status, got.body)),
            Err(Miss::NotSent(why)) => {
                let text = format!("no server answers at {}: {why}", self.base);
                Err(Failure::new(EXIT_ERROR, text, "say where it is with --url"))
            }
            Err(miss) => Err(failed(format!("{}: {miss}", self.base))),
        }
    }

    fn refused(&self, status: u16, value: &Value) -> Failure {
        let error = &value["error"];
        let text = error["hint"].as_str().map_or_else(|| format!("HTTP {status}"), str::to_owned);
        let place = match (error["line"].as_u64(), error["column"].as_u64()) {
            (Some(line), Some(column)) => format!("line {line}, column {column}: "),
            _ => String::new(),
        };
        let part = error["path"].as_str().map_or(String::new(), |path| format!("`{path}`: "));
        let hint = match status {
            401 | 403 if self.key.is_none() => format!("set {KEY_ENV} to one of its keys"),
            _ => String::new(),
        };
        Failure::new(EXIT_REFUSED, format!("{place}{part}{text}"), hint)
    }
}
