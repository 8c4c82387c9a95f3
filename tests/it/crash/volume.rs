//! File systems of their own, on a loop device or in memory, whose power can be cut.

use crate::server::process::Folder;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Of an image; sparse. `mkfs.xfs` makes nothing smaller than 300 MiB.
const IMAGE_MIB: u64 = 320;
/// `FS_IOC_SHUTDOWN`, which both file systems took over from XFS: `_IOR('X', 125, __u32)`.
const SHUTDOWN: libc::Ioctl = 0x8004_587d_u32 as libc::Ioctl;
/// Its flag that drops what is only in memory, the journal's own pages included.
const NO_LOG_FLUSH: u32 = 2;

/// Which file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// ext4 with its journal.
    Ext4,
    /// XFS.
    Xfs,
}

impl Kind {
    /// As `mount` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    fn format(self, image: &Path) -> bool {
        let image = image.to_str().expect("UTF-8");
        match self {
            Self::Ext4 => quiet("mkfs.ext4", &["-q", "-F", image]),
            Self::Xfs => quiet("mkfs.xfs", &["-q", "-f", image]),
        }
    }
}

/// An image on a loop device.
pub struct Volume {
    device: String,
    mount: PathBuf,
    _folder: Folder,
}

impl Volume {
    /// Makes and mounts one. `None`, and a word on why, where that is not possible.
    pub fn make(kind: Kind) -> Option<Self> {
        let folder = Folder::new();
        let image = folder.path().join("image");
        let volume = Self::make_in(kind, &image, IMAGE_MIB, folder);
        if volume.is_none() {
            println!("skipped: this process may not make or mount a file system: {}", kind.name());
        }
        volume
    }

    /// The same on an image at a place of the caller's.
    pub fn make_in(kind: Kind, image: &Path, mib: u64, folder: Folder) -> Option<Self> {
        File::create(image).and_then(|file| file.set_len(mib << 20)).expect("room for an image");
        let mount = folder.path().join("volume");
        std::fs::create_dir(&mount).expect("writable");
        if !kind.format(image) {
            return None;
        }
        let losetup = Command::new("losetup").args(["-f", "--show"]).arg(image).output().ok()?;
        if !losetup.status.success() {
            return None;
        }
        let device = String::from_utf8(losetup.stdout).expect("UTF-8").trim().to_owned();
        let volume = Self { device, mount, _folder: folder };
        volume.try_mount().then_some(volume)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    fn try_mount(&self) -> bool {
        quiet("mount", &[&self.device, self.mount.to_str().expect("UTF-8")])
    }

    /// Mounts it again; the file system recovers.
    pub fn mount(&self) {
        assert!(self.try_mount(), "a file system that was cut mounts again");
    }

    /// Nothing may hold a file open.
    pub fn unmount(&self) {
        for _ in 0..100 {
            if quiet("umount", &[self.mount.to_str().expect("UTF-8")]) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{} stays busy", self.mount.display());
    }

    /// From now on nothing reaches the disk, and what was not synced never will.
    pub fn cut(&self) {
        let dir = File::open(&self.mount).expect("it is mounted");
        let flags = NO_LOG_FLUSH;
        // SAFETY: the call reads one number, which outlives it.
        let answer = unsafe { libc::ioctl(dir.as_raw_fd(), SHUTDOWN, &flags) };
        assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        quiet("umount", &["-l", self.mount.to_str().expect("UTF-8")]);
        quiet("losetup", &["-d", &self.device]);
    }
}

/// A file system in memory, as small as a test wants it.
pub struct Memory {
    mount: PathBuf,
    _folder: Folder,
}

impl Memory {
    /// `None`, and a word on why, where this process may not mount.
    pub fn mount(mib: u32) -> Option<Self> {
        let folder = Folder::new();
        let mount = folder.path().join("memory");
        std::fs::create_dir(&mount).expect("writable");
        let size = format!("size={mib}m");
        let path = mount.to_str().expect("UTF-8");
        if quiet("mount", &["-t", "tmpfs", "-o", &size, "ringpost-crash", path]) {
            return Some(Self { mount, _folder: folder });
        }
        println!("skipped: this process may not mount a small file system");
        None
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        self.fill_but(0);
    }

    /// Takes all the room that is left but so many bytes.
    pub fn fill_but(&self, bytes: u64) {
        let mut file = File::create(self.mount.join("filler")).expect("writable");
        let zeros = vec![0; 64 << 10];
        while std::io::Write::write_all(&mut file, &zeros).is_ok() {}
        let len = file.metadata().expect("it is there").len();
        file.set_len(len.saturating_sub(bytes)).expect("it is ours");
    }

    /// Gives it back.
    pub fn free(&self) {
        std::fs::remove_file(self.mount.join("filler")).expect("it was filled");
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        quiet("umount", &["-l", self.mount.to_str().expect("UTF-8")]);
    }
}

fn quiet(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
