//! Asks the kernel, before anything else starts, for everything that a shard will need.

use super::buffers::BufferRing;
use super::error::{StartError, Step};
use super::ring::builder;
use io_uring::types::Fd;
use io_uring::{IoUring, Probe, cqueue, opcode};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// Checks that this kernel, sandbox and memory limit allow a shard's ring: set-up, provided
/// buffers, a real multishot receive, and the operations we use. Takes about a millisecond; run it
/// on a thread that ends, or once at start.
pub fn probe() -> Result<(), StartError> {
    let mut ring = builder(64)
        .build(8)
        .map_err(|error| StartError::from_io(Step::RingSetup, "create io_uring", &error))?;
    check_operations(&ring)?;
    let buffers = BufferRing::new(2, 64);
    // SAFETY: the buffers are dropped after the ring has no operation left, see `check_receive`.
    unsafe { ring.submitter().register_buf_ring_with_flags(buffers.address(), 2, 0, 0) }.map_err(
        |error| StartError::from_io(Step::RingRegister, "register receive buffers", &error),
    )?;
    let outcome = check_receive(&mut ring).map_err(|error| {
        StartError::from_io(Step::MultishotReceive, "receive with a multishot", &error)
    });
    let _ = ring.submitter().unregister_buf_ring(0);
    outcome
}

fn check_operations(ring: &IoUring) -> Result<(), StartError> {
    let wanted = [
        (opcode::AcceptMulti::CODE, "accept"),
        (opcode::RecvMulti::CODE, "recv"),
        (opcode::Send::CODE, "send"),
        (opcode::SendMsg::CODE, "sendmsg"),
        (opcode::Read::CODE, "read"),
        (opcode::Timeout::CODE, "timeout"),
        (opcode::AsyncCancel::CODE, "async_cancel"),
        (opcode::MsgRingData::CODE, "msg_ring"),
    ];
    let mut known = Probe::new();
    ring.submitter().register_probe(&mut known).map_err(|error| {
        StartError::from_io(Step::Operations, "list io_uring's operations", &error)
    })?;
    for (code, name) in wanted {
        if !known.is_supported(code) {
            let what = format!("use io_uring's operation {name}");
            return Err(StartError::new(Step::Operations, what, libc::EOPNOTSUPP));
        }
    }
    Ok(())
}

/// One byte through a socket pair, then the end of the stream, which ends the multishot.
fn check_receive(ring: &mut IoUring) -> io::Result<()> {
    let (here, mut there) = UnixStream::pair()?;
    let entry = opcode::RecvMulti::new(Fd(here.as_raw_fd()), 0).build();
    // SAFETY: the receive writes only to the provided buffers, and has ended when this returns
    // (an error ends it, and so does the end of the stream).
    unsafe { ring.submission().push(&entry) }.expect("an empty queue");
    there.write_all(b"x")?;
    drop(there);
    loop {
        ring.submit_and_wait(1)?;
        for completion in ring.completion() {
            if completion.result() < 0 {
                return Err(io::Error::from_raw_os_error(-completion.result()));
            }
            if !cqueue::more(completion.flags()) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_passes() {
        if let Err(error) = super::probe() {
            panic!("{error}");
        }
    }
}
