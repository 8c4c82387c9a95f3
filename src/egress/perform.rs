//! One call from its address to its reply.

use super::address::{self, GraphAddress};
use super::body::Payload;
use super::client::{self, Pool};
use super::guard::Guard;
use super::{EgressOptions, Got, Miss, Request, Timeouts, Tokens};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Response, Uri};
use hyper_util::client::legacy;
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Answers of the Graph API are short.
const GRAPH_ANSWER_BYTES_MAX: usize = 256 << 10;
const AGENT: &str = concat!("ringpost/", env!("CARGO_PKG_VERSION"));

/// What all calls share.
pub(super) struct Desk {
    graph: Option<GraphAddress>,
    tokens: Tokens,
    guard: Guard,
    timeouts: Timeouts,
    graph_pool: Pool,
    guarded_pool: Pool,
    /// Makes the names of unfinished files different.
    files: AtomicU64,
}

type Headers = Vec<(HeaderName, HeaderValue)>;

impl Desk {
    pub(super) fn new(options: EgressOptions) -> Self {
        let EgressOptions { graph, tokens, networks, roots, timeouts, .. } = options;
        let guard = Guard::Only(networks.into());
        Self {
            graph,
            tokens,
            timeouts,
            graph_pool: client::pool(Guard::Open, &roots, timeouts.connect),
            guarded_pool: client::pool(guard.clone(), &roots, timeouts.connect),
            guard,
            files: AtomicU64::new(0),
        }
    }

    pub(super) async fn perform(&self, request: Request) -> Result<Got, Miss> {
        match request {
            Request::Message { number, body } => self.tell(&number, "/messages", &body).await,
            Request::Menu { number, body } => {
                self.tell(&number, "/conversational_automation", &body).await
            }
            Request::MediaInfo { number, media } => {
                let uri = self.graph()?.object(&media, "").map_err(refused)?;
                let headers = vec![self.bearer(&number)?];
                let (pool, payload) = (&self.graph_pool, Payload::bytes(""));
                let response = self.ask(pool, Method::GET, uri, headers, payload).await?;
                self.read(response, GRAPH_ANSWER_BYTES_MAX).await
            }
            Request::Download { number, url, file, bytes_max } => {
                let (uri, own) = self.graph()?.media(&url).map_err(refused)?;
                let pool = if own { &self.graph_pool } else { &self.guarded_pool };
                let headers = vec![self.bearer(&number)?];
                let payload = Payload::bytes("");
                let response = self.ask(pool, Method::GET, uri, headers, payload).await?;
                self.save(response, &file, bytes_max).await
            }
            Request::Upload { number, file, mime } => self.upload(&number, &file, &mime).await,
            Request::Post { url, headers, body, mime, within, answer_bytes_max } => {
                let what = (Method::POST, &*url, mime);
                self.ask_guarded(what, &headers, &body, (within, answer_bytes_max)).await
            }
            Request::Api { method, url, headers, body, within, answer_bytes_max } => {
                let method = Method::from_bytes(method.as_bytes()).map_err(refused)?;
                let what = (method, &*url, "application/json");
                self.ask_guarded(what, &headers, &body, (within, answer_bytes_max)).await
            }
        }
    }

    /// A POST of JSON to an edge of a number.
    async fn tell(&self, number: &str, edge: &str, body: &str) -> Result<Got, Miss> {
        let uri = self.graph()?.object(number, edge).map_err(refused)?;
        let headers = vec![self.bearer(number)?, json()];
        let payload = Payload::bytes(body.as_bytes().to_vec());
        let response = self.ask(&self.graph_pool, Method::POST, uri, headers, payload).await?;
        self.read(response, GRAPH_ANSWER_BYTES_MAX).await
    }

    /// A request to an address that is looked at first, within its time.
    async fn ask_guarded(
        &self,
        (method, url, mime): (Method, &str, &'static str),
        headers: &[(Box<str>, Box<str>)],
        body: &[u8],
        (within, answer_bytes_max): (Duration, usize),
    ) -> Result<Got, Miss> {
        let uri = address::guarded(url, &self.guard).map_err(refused)?;
        // A first step would be made all the same.
        if within.is_zero() {
            return Err(Miss::NotSent("its time was over before".to_owned()));
        }
        let mut all = vec![(header::CONTENT_TYPE, HeaderValue::from_static(mime))];
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(refused)?;
            // What somebody says about the body is what holds.
            all.retain(|(known, _)| *known != name);
            all.push((name, HeaderValue::from_str(value).map_err(refused)?));
        }
        let payload = Payload::bytes(body.to_vec());
        let pool = &self.guarded_pool;
        let whole = async {
            let response = self.ask(pool, method, uri, all, payload).await?;
            self.read(response, answer_bytes_max).await
        };
        let late = |_| Miss::Lost(format!("nothing within {} s", within.as_secs()));
        tokio::time::timeout(within, whole).await.map_err(late)?
    }

    fn graph(&self) -> Result<&GraphAddress, Miss> {
        self.graph.as_ref().ok_or_else(|| Miss::Refused("no Graph API is configured".to_owned()))
    }

    fn bearer(&self, number: &str) -> Result<(HeaderName, HeaderValue), Miss> {
        let token = self.tokens.bearer(number);
        let token = token.ok_or_else(|| Miss::Refused(format!("number {number} has no token")))?;
        Ok((header::AUTHORIZATION, token))
    }

    async fn upload(&self, number: &str, file: &Path, mime: &str) -> Result<Got, Miss> {
        // Within a header of the form, so it must not end it.
        if !mime.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'"') {
            return Err(Miss::Refused("not a MIME type".to_owned()));
        }
        let uri = self.graph()?.object(number, "/media").map_err(refused)?;
        // Strangers choose neither this text nor where the file is cut.
        let boundary = format!("ringpost-{:016x}", self.files.fetch_add(1, Ordering::Relaxed));
        let boundary = format!("{boundary}-{:016x}", clock());
        let field = |name: &str, value: &str| {
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
        };
        let head = format!(
            "{}{}--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"file\"\r\nContent-Type: {mime}\r\n\r\n",
            field("messaging_product", "whatsapp"),
            field("type", mime),
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let payload = Payload::file(head, file, tail).map_err(broken_file)?;
        let form = format!("multipart/form-data; boundary={boundary}");
        let form = HeaderValue::from_str(&form).map_err(refused)?;
        let headers = vec![self.bearer(number)?, (header::CONTENT_TYPE, form)];
        let response = self.ask_within(
            self.timeouts.file,
            (&self.graph_pool, Method::POST, uri),
            headers,
            payload,
        );
        self.read(response.await?, GRAPH_ANSWER_BYTES_MAX).await
    }

    async fn ask(
        &self,
        pool: &Pool,
        method: Method,
        uri: Uri,
        headers: Headers,
        payload: Payload,
    ) -> Result<Response<Incoming>, Miss> {
        self.ask_within(self.timeouts.head, (pool, method, uri), headers, payload).await
    }

    async fn ask_within(
        &self,
        limit: Duration,
        (pool, method, uri): (&Pool, Method, Uri),
        headers: Headers,
        payload: Payload,
    ) -> Result<Response<Incoming>, Miss> {
        let mut request = hyper::Request::builder().method(method).uri(uri);
        let map = request.headers_mut().expect("method and address are of their types");
        map.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        if payload.len() > 0 {
            map.insert(header::CONTENT_LENGTH, payload.len().into());
        }
        map.extend(headers);
        let request = request.body(payload).map_err(refused)?;
        match tokio::time::timeout(limit, pool.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(not_connected(&error)),
            Ok(Err(error)) => Err(Miss::Lost(words(&error))),
            // Connecting has its own, shorter limit, so there was a connection.
            Err(_) => Err(Miss::Lost("no answer in time".to_owned())),
        }
    }

    /// The body, if it is no longer than `bytes_max`.
    async fn read(&self, response: Response<Incoming>, bytes_max: usize) -> Result<Got, Miss> {
        let status = response.status().as_u16();
        let retry_after_s = retry_after(&response);
        let mut kept = Vec::new();
        let mut body = response.into_body();
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(Miss::TooLarge { status });
        }
        let reading = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| Miss::Lost(words(&error)))?;
                let Ok(data) = frame.into_data() else { continue };
                if kept.len() + data.len() > bytes_max {
                    return Err(Miss::TooLarge { status });
                }
                kept.extend_from_slice(&data);
            }
            Ok(())
        };
        match tokio::time::timeout(self.timeouts.body, reading).await {
            Ok(read) => read?,
            Err(_) => return Err(Miss::Lost("the answer did not end in time".to_owned())),
        }
        let bytes = kept.len() as u64;
        Ok(Got { status, body: kept, bytes, retry_after_s })
    }

    /// Writes the body into a file that gets its name when it is whole. Errors are read as text.
    async fn save(
        &self,
        response: Response<Incoming>,
        path: &Path,
        bytes_max: u64,
    ) -> Result<Got, Miss> {
        let status = response.status().as_u16();
        if status != 200 {
            return self.read(response, GRAPH_ANSWER_BYTES_MAX).await;
        }
        let mut body = response.into_body();
        if body.size_hint().lower() > bytes_max {
            return Err(Miss::TooLarge { status });
        }
        let mut part = Part::new(path, self.files.fetch_add(1, Ordering::Relaxed))?;
        let mut bytes = 0;
        let writing = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| Miss::Lost(words(&error)))?;
                let Ok(data) = frame.into_data() else { continue };
                bytes += data.len() as u64;
                if bytes > bytes_max {
                    return Err(Miss::TooLarge { status });
                }
                part.file.write_all(&data).map_err(broken_file)?;
            }
            Ok(())
        };
        match tokio::time::timeout(self.timeouts.file, writing).await {
            Ok(written) => written?,
            Err(_) => return Err(Miss::Lost("the file did not end in time".to_owned())),
        }
        part.finish(path)?;
        Ok(Got { status, body: Vec::new(), bytes, retry_after_s: None })
    }
}

/// A file that is not whole yet; removed unless finished.
struct Part {
    file: File,
    path: Option<PathBuf>,
}

impl Part {
    fn new(path: &Path, number: u64) -> Result<Self, Miss> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{number}.part"));
        let path = path.with_file_name(name);
        let file = File::create(&path).map_err(broken_file)?;
        Ok(Self { file, path: Some(path) })
    }

    fn finish(mut self, path: &Path) -> Result<(), Miss> {
        let part = self.path.take().expect("finished once");
        fs::rename(part, path).map_err(broken_file)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What cannot be removed is found by the next start.
            let _ = fs::remove_file(path);
        }
    }
}

fn retry_after(response: &Response<Incoming>) -> Option<u32> {
    response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

fn json() -> (HeaderName, HeaderValue) {
    (header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
}

fn refused(error: impl Error) -> Miss {
    Miss::Refused(error.to_string())
}

fn broken_file(error: std::io::Error) -> Miss {
    Miss::File(error.to_string())
}

/// A name that leads where nobody may go stays so; everything else may be better tomorrow.
fn not_connected(error: &legacy::Error) -> Miss {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        let kind = inner.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if kind == Some(std::io::ErrorKind::PermissionDenied) {
            return Miss::Refused(words(error));
        }
        cause = inner.source();
    }
    Miss::NotSent(words(error))
}

/// The error with its causes; none of them knows headers or bodies.
fn words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// Makes a boundary that nobody can have put into a file before.
fn clock() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_nanos() as u64)
}
