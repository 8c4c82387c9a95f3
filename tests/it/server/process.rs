//! The real program as a child process: started on a free port, killed or stopped, started again
//! on the same data.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The server under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_ringpost");
/// The program that reads its log.
const SCAN: &str = env!("CARGO_BIN_EXE_ringpost-scan");
/// No step of a test waits longer: a start on a busy machine, a reply, an end.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A directory of its own, removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    /// A fresh one.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ringpost-it-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How to start a server.
#[derive(Clone)]
pub struct Plan {
    program: OsString,
    before: Vec<OsString>,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    data: Option<PathBuf>,
}

impl Plan {
    /// Development mode, one shard, small segments, a free port.
    pub fn new() -> Self {
        let plan = Self {
            program: PROGRAM.into(),
            before: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            data: None,
        };
        let plan = plan.set("server.dev", "true").set("server.listen", "127.0.0.1:0");
        plan.set("log.segment_mib", "4").shards(1)
    }

    /// So many shards.
    pub fn shards(self, count: u32) -> Self {
        self.set("server.shards", &count.to_string())
    }

    /// `--set key=value`; the last word counts.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        let prefix = format!("{key}=");
        let known = self.args.iter().position(|arg| arg.to_string_lossy().starts_with(&prefix));
        if let Some(index) = known {
            self.args.drain(index - 1..=index);
        }
        self.args.extend(["--set".into(), format!("{prefix}{value}").into()]);
        self
    }

    /// No limit on what one client may send.
    pub fn unlimited(self) -> Self {
        let keys = ["limits.sends_per_s", "limits.room_sends_per_s", "limits.frames_per_s"];
        keys.into_iter().fold(self, |plan, key| plan.set(key, "0"))
    }

    /// An environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Outside development mode, with this key of tokens.
    pub fn with_tokens(self, secret: &str) -> Self {
        self.set("server.dev", "false").env("RINGPOST_AUTH_SECRET", secret)
    }

    /// Keeps the data there instead of in a directory of its own.
    pub fn data(mut self, path: &Path) -> Self {
        self.data = Some(path.to_owned());
        self
    }

    /// Starts `program before… ringpost …`, which must end in running the server in its place.
    pub fn through(mut self, program: &str, before: &[&str]) -> Self {
        self.before = before.iter().map(OsString::from).collect();
        self.before.push(self.program);
        self.program = program.into();
        self
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> Server {
        let folder = Folder::new();
        let data = self.data.clone().unwrap_or_else(|| folder.path().join("data"));
        let mut server =
            Server { plan: self, folder, data, child: None, address: ([127, 0, 0, 1], 0).into() };
        server.start();
        server
    }

    /// Runs it to its end, for starts that must fail.
    pub fn refused(self) -> (i32, String) {
        let folder = Folder::new();
        let data = self.data.clone().unwrap_or_else(|| folder.path().join("data"));
        let child = self.command(&data).stderr(Stdio::piped()).spawn().expect("the program runs");
        let Output { status, stderr, stdout } = finish(child);
        assert!(stdout.is_empty(), "a start that fails is not ready: {stdout:?}");
        (status.code().expect("it exits by itself"), String::from_utf8_lossy(&stderr).into_owned())
    }

    fn command(&self, data: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.before).args(&self.args).arg("--data").arg(data);
        command.env_clear().envs(self.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }
}

/// Waits for the end of a child, a bounded time.
fn finish(mut child: Child) -> Output {
    await_exit(&mut child);
    child.wait_with_output().expect("it has ended")
}

fn await_exit(child: &mut Child) -> ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            return status;
        }
        if begin.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("the server does not end within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running server, killed when it is dropped.
pub struct Server {
    plan: Plan,
    folder: Folder,
    data: PathBuf,
    child: Option<Child>,
    address: SocketAddr,
}

impl Server {
    /// As [`Plan::new`] has it.
    pub fn start_default() -> Self {
        Plan::new().start()
    }

    fn start(&mut self) {
        let words = File::options().create(true).append(true).open(self.words_path());
        let mut command = self.plan.command(&self.data);
        let mut child = command.stderr(words.expect("writable")).spawn().expect("it runs");
        let out = child.stdout.take().expect("piped");
        self.child = Some(child);
        let mut line = String::new();
        // A server that hangs before this line hangs the test; the runner's own bound ends it.
        BufReader::new(out).read_line(&mut line).expect("readable");
        let address = line.trim_end().strip_prefix("ringpost listening on http://");
        let address = address.unwrap_or_else(|| panic!("not ready: {line:?}\n{}", self.words()));
        self.address = address.parse().expect("an address");
    }

    fn words_path(&self) -> PathBuf {
        self.folder.path().join("stderr")
    }

    /// What it wrote to standard error, over all its lives.
    pub fn words(&self) -> String {
        fs::read_to_string(self.words_path()).unwrap_or_default()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A TCP connection to it.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        stream
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Memory of its own in KiB. Mapped segments do not count: the kernel takes them back at will.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line =
            status.lines().find(|line| line.starts_with("RssAnon:")).expect("a Linux kernel");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// Open files of the process.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it runs").count()
    }

    /// SIGKILL: no chance to write anything.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("our child");
        child.wait().expect("our child");
    }

    /// SIGKILL, unless it has ended by itself.
    pub fn end(&mut self) {
        if self.child.is_some() {
            self.kill9();
        }
    }

    /// SIGSTOP, and waits until no thread is within a system call any more.
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
        let begin = Instant::now();
        let tasks = format!("/proc/{}/task", self.pid());
        let is_still = |task: &Path| {
            // A thread that has just ended is as still as one that is stopped.
            let stat = fs::read_to_string(task.join("stat")).unwrap_or_default();
            // Workers of io_uring belong to the kernel and are not stopped.
            stat.contains("(iou-") || stat.rsplit_once(") ").is_none_or(|(_, s)| s.starts_with('T'))
        };
        while !fs::read_dir(&tasks).expect("it runs").flatten().all(|task| is_still(&task.path())) {
            assert!(begin.elapsed() < PATIENCE, "a thread does not stop");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a plain system call; the process is our child and not yet waited for.
        let answer = unsafe { libc::kill(self.pid() as i32, signal) };
        assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
    }

    /// SIGTERM, without waiting.
    pub fn ask_to_stop(&self) {
        let status = Command::new("kill").arg("-TERM").arg(self.pid().to_string()).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for the end of a server that was asked to stop; its exit code.
    pub fn await_stop(&mut self) -> i32 {
        let mut child = self.child.take().expect("it runs");
        let status = await_exit(&mut child);
        status.code().unwrap_or_else(|| panic!("ended by {status}\n{}", self.words()))
    }

    /// SIGTERM, and its exit code.
    pub fn terminate(&mut self) -> i32 {
        self.ask_to_stop();
        self.await_stop()
    }

    /// The same server on the same data, on a port of its own.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "kill it first");
        self.start();
    }

    /// `ringpost-scan` on the data: exit code and rows.
    pub fn scan(&self, args: &[&str]) -> (i32, String) {
        let mut command = Command::new(SCAN);
        let output = command.args(args).arg("--data").arg(&self.data).output().expect("it runs");
        let words = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code().unwrap_or_else(|| panic!("scan died: {words}"));
        (code, String::from_utf8(output.stdout).expect("UTF-8"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let words = self.words();
        if std::thread::panicking() {
            eprintln!("--- what the server said ---\n{words}");
        } else {
            assert!(!words.contains("panicked"), "the server broke an invariant:\n{words}");
        }
    }
}
