//! The server as a process of its own, and what the kernel says about it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Between two looks at a figure that should come to rest.
const LOOK: Duration = Duration::from_millis(250);

/// A running server. Ends when dropped, and its data with it.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
    data: PathBuf,
}

impl Server {
    pub fn start(shards: u16) -> Self {
        let name = format!("ringpost-idle-{}-{shards}", std::process::id());
        let data = std::env::temp_dir().join(name);
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringpost"))
            .args(["--dev", "--listen", "127.0.0.1:0", "--shards", &shards.to_string()])
            .arg("--data")
            .arg(&data)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut ready = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut ready).expect("the ready line");
        let address = ready.trim().rsplit_once("http://").and_then(|(_, at)| at.parse().ok());
        Self { address: address.expect("an address in the ready line"), child, data }
    }

    /// Memory of the process, bytes, when it has stopped changing (or after some seconds).
    pub fn settled_bytes(&self) -> usize {
        let mut bytes = self.bytes();
        for _ in 0..20 {
            thread::sleep(LOOK);
            let before = std::mem::replace(&mut bytes, self.bytes());
            if before == bytes {
                break;
            }
        }
        bytes
    }

    fn bytes(&self) -> usize {
        let status = self.proc("status");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
            let number = line.split_whitespace().next().expect("a number");
            number.parse::<usize>().expect("a number") * 1_024
        };
        field("RssAnon:") + field("RssShmem:")
    }

    /// CPU time of all threads so far.
    pub fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        let (_, fields) = stat.rsplit_once(')').expect("a command in parentheses");
        // utime and stime are fields 14 and 15; the first here is field 3. A tick is 10 ms.
        let ticks = fields.split_whitespace().skip(11).take(2);
        Duration::from_millis(10 * ticks.map(|n| n.parse::<u64>().expect("ticks")).sum::<u64>())
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(path).expect("the server is running")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}
