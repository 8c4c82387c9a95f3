//! When something runs out: files, disk, the right to use io_uring.

use super::client::Client;
use super::desk::granted;
use super::platform;
use super::process::{Folder, PROGRAM, Plan};
use super::raw::{Raw, get};
use super::webhook;
use serde_json::{Value, json};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const ROOM: &str = "room";

/// CPU time of a process, in clock ticks (a hundredth of a second).
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields = stat.rsplit_once(") ").expect("a name in parentheses").1;
    let fields: Vec<u64> = fields.split(' ').map(|field| field.parse().unwrap_or(0)).collect();
    fields[11] + fields[12]
}

#[test]
fn without_free_files_the_connected_are_served_and_the_rest_wait() {
    let server = Plan::new().through("/bin/sh", &["-c", r#"ulimit -n 64; exec "$0" "$@""#]).start();
    let mut member = Client::member(&server, "alice", ROOM);
    let idle = server.open_files();
    assert!(idle < 60, "{idle} files are open before anybody came");
    let mut crowd: Vec<Raw> = (0..100).map(|_| Raw::connect(&server)).collect();
    for raw in &mut crowd {
        raw.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.open_files() >= 64, "all files are taken");
    let before = cpu_ticks(server.pid());
    let begin = Instant::now();
    for n in 1..=10 {
        assert_eq!(member.send(ROOM, &n.to_string(), "who is in is served"), n);
        std::thread::sleep(Duration::from_millis(50));
    }
    let busy = cpu_ticks(server.pid()) - before;
    let share = busy as f64 / (begin.elapsed().as_secs_f64() * 100.0);
    assert!(share < 0.5, "waiting for a free file takes {share:.2} of a CPU");
    // Those that wait are served as places become free, or are turned away; none hangs.
    for raw in crowd.drain(..30) {
        assert_eq!(raw.try_response().map(|response| response.status), Some(200));
    }
    let mut rest = crowd.drain(..).filter_map(Raw::try_response);
    assert!(rest.all(|response| response.status == 200));
    let begin = Instant::now();
    while Raw::connect(&server).ask("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").is_none() {
        assert!(begin.elapsed() < Duration::from_secs(5), "files are free again");
    }
    assert_eq!(member.send(ROOM, "11", "and after it"), 11);
}

/// A file system of its own, as small as a test wants it.
struct Disk {
    path: PathBuf,
    _folder: Folder,
}

impl Disk {
    /// `None` where this process may not mount.
    fn mount(mib: u32) -> Option<Self> {
        let folder = Folder::new();
        let path = folder.path().join("disk");
        std::fs::create_dir(&path).expect("writable");
        let disk = Self { path, _folder: folder };
        if disk.run("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m"), "ringpost-it"]) {
            return Some(disk);
        }
        eprintln!("skipped: this process may not mount a small file system");
        None
    }

    fn resize(&self, mib: u32) {
        assert!(self.run("mount", &["-o", &format!("remount,size={mib}m")]));
    }

    fn run(&self, program: &str, args: &[&str]) -> bool {
        let mut command = Command::new(program);
        command.args(args).arg(&self.path).stderr(std::process::Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.run("umount", &["-l"]);
    }
}

/// Sends until it is refused: how many were taken, and the refusal.
fn fill(client: &mut Client) -> (u64, Value) {
    let text = "x".repeat(30_000);
    for acked in 0..1_000 {
        let cid = format!("{acked}");
        let reply = client.request("send", ROOM, json!({"cid": cid, "text": text}));
        if reply["t"] == "err" {
            return (acked, reply);
        }
    }
    panic!("10 MiB cannot hold this");
}

/// A call is the first that anybody outside can see of a handler.
#[test]
fn news_of_the_platform_reach_handlers_when_the_log_has_them() {
    let Some(disk) = Disk::mount(10) else { return };
    let plan = webhook::plan().unlimited().set("egress.networks", "127.0.0.0/8");
    let server = plan.data(&disk.path.join("data")).start();
    let shop = TcpListener::bind("127.0.0.1:0").expect("a free port");
    shop.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}/", shop.local_addr().expect("bound"));
    let tell = json!({"when": {"event": "platform"}, "do": {"call": url}});
    granted(&server, "PUT", "handlers/tell", &tell.to_string());
    fill(&mut Client::member(&server, "alice", ROOM));
    let changes = json!([{"field": "account_update", "value": {"event": "ban"}}]);
    let entry = json!([{"id": "1", "time": 1_795_000_000, "changes": changes}]);
    let news = json!({"object": "whatsapp_business_account", "entry": entry}).to_string();
    let post = || platform::post_body(&server, news.as_bytes()).status;
    for _ in 0..3 {
        assert_eq!(post(), 503);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(shop.accept().is_err(), "it is not told before it is taken");
    disk.resize(64);
    let begin = Instant::now();
    while post() != 200 {
        assert!(begin.elapsed() < Duration::from_secs(10), "there is room again");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(post(), 200);
    let begin = Instant::now();
    while shop.accept().is_err() {
        assert!(begin.elapsed() < Duration::from_secs(10), "it is told");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(shop.accept().is_err(), "once");
}

#[test]
fn a_full_disk_refuses_messages_and_nothing_else_and_recovers() {
    let Some(disk) = Disk::mount(10) else { return };
    let mut server = webhook::plan().unlimited().data(&disk.path.join("data")).start();
    let mut alice = Client::member(&server, "alice", ROOM);
    // Bob is elsewhere: what he does not read must not make him a slow reader.
    let mut bob = Client::member(&server, "bob", "lounge");
    alice.join("lounge", json!({}));
    let (acked, full) = fill(&mut alice);
    assert_eq!((&full["d"]["code"], &full["d"]["retry"]), (&json!(507), &json!(true)), "{full}");
    assert!(acked > 100, "{acked} messages were taken");
    assert_eq!(webhook::post(&server, "01_text.json").status, 503);
    alice.granted("typing", "lounge", json!({}));
    assert_eq!(bob.expect("typing")["d"]["user"], "alice");
    assert_eq!(bob.granted("who", "lounge", json!({}))["n"], 2);
    let page = bob.granted("history", "lounge", json!({}));
    assert_eq!(page["top"], 0);
    let page = alice.granted("history", ROOM, json!({"limit": 5}));
    assert_eq!(page["msgs"].as_array().map(Vec::len), Some(5));
    assert_eq!(get(&server, "/healthz").status, 200);

    disk.resize(64);
    let begin = Instant::now();
    while webhook::post(&server, "01_text.json").status != 200 {
        assert!(begin.elapsed() < Duration::from_secs(10), "there is room again");
        std::thread::sleep(Duration::from_millis(100));
    }
    let again = alice.granted("send", ROOM, json!({"cid": "again", "text": "after"}));
    let last = again["o"].as_u64().expect("an offset");
    assert_eq!(server.terminate(), 0, "{}", server.words());
    server.restart();
    let mut carol = Client::hello(&server, "carol");
    let joined = carol.join(ROOM, json!({"last": 1}));
    assert_eq!(joined["o"], last, "what was acknowledged is there");
    assert!(last > acked);
    assert_eq!(carol.take(1)[0].1, "after");
}

#[test]
fn a_disk_that_is_full_at_the_start_is_named() {
    let Some(disk) = Disk::mount(1) else { return };
    let (code, said) = Plan::new().data(&disk.path.join("data")).refused();
    assert_eq!(code, 74, "{said}");
    assert!(said.contains("no room for a new segment"), "{said}");
}

/// Makes `io_uring_setup` fail with EPERM, as the default profile of container engines does.
fn forbid_io_uring() -> io::Result<()> {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let end = libc::BPF_RET | libc::BPF_K;
    let mut program = [
        step(load, 0, 0, 0),
        step(equal, 0, 1, libc::SYS_io_uring_setup as u32),
        step(end, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(end, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: both calls read their arguments only; `program` outlives them.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn run_without_io_uring(data: &Path) -> std::process::Output {
    let mut command = Command::new(PROGRAM);
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data);
    // SAFETY: between fork and exec it makes system calls only, and allocates nothing.
    unsafe { command.pre_exec(forbid_io_uring) };
    command.output().expect("it runs")
}

#[test]
fn a_container_that_forbids_io_uring_is_named_with_the_way_out() {
    let folder = Folder::new();
    let output = run_without_io_uring(&folder.path().join("data"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(71), "{said}");
    for word in ["Operation not permitted", "cause: ", "seccomp", "hint: ", "io_uring_disabled=0"] {
        assert!(said.contains(word), "wants {word:?} in:\n{said}");
    }
    assert!(!folder.path().join("data").exists(), "a start that fails leaves nothing behind");
}
