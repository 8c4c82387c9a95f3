//! Limits of the process that the sockets need raised: open files and locked memory.

use std::io;

/// What [`raise`] reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raised {
    /// Open files that this process may have from now on.
    pub open_files: u64,
    /// Bytes that this user may lock, over all processes. Rings count against it.
    pub locked_bytes: u64,
}

/// Raises the soft limits of this process to the hard ones, and locked memory to "unlimited" where
/// the process may. Call once, before the first ring. Never fails: what cannot be raised stays, and
/// the start says later what it lacks.
pub fn raise() -> Raised {
    let open_files = raise_to_hard(libc::RLIMIT_NOFILE);
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    let locked_bytes = match set(libc::RLIMIT_MEMLOCK, unlimited) {
        Ok(()) => libc::RLIM_INFINITY,
        Err(_) => raise_to_hard(libc::RLIMIT_MEMLOCK),
    };
    Raised { open_files, locked_bytes }
}

fn raise_to_hard(resource: libc::__rlimit_resource_t) -> u64 {
    let Ok(limit) = get(resource) else { return 0 };
    let wanted = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    match set(resource, wanted) {
        Ok(()) => wanted.rlim_cur,
        Err(_) => limit.rlim_cur,
    }
}

fn get(resource: libc::__rlimit_resource_t) -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    match unsafe { libc::getrlimit(resource, &mut limit) } {
        0 => Ok(limit),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set(resource: libc::__rlimit_resource_t, limit: libc::rlimit) -> io::Result<()> {
    // SAFETY: `limit` is a valid value that the call only reads.
    match unsafe { libc::setrlimit(resource, &limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raises_open_files_to_the_hard_limit() {
        let raised = raise();
        let limit = get(libc::RLIMIT_NOFILE).expect("readable");
        assert_eq!(limit.rlim_cur, limit.rlim_max);
        assert_eq!(raised.open_files, limit.rlim_max);
        assert_eq!(raise(), raised, "raising twice changes nothing");
    }
}
