//! A disk that fails on demand and forgets, at a power cut, what was not synced.
//!
//! It works on real files, so that recovery reads them as it would any others, and notes how to
//! take back each step that is not durable yet. A sync that fails takes the steps back at once:
//! the worst that a kernel may do, and what makes a second sync a lie.

use super::{Disk, DiskFile, RealDisk};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What an operation does instead of succeeding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// It fails with this error and does nothing, except that a sync forgets.
    Error(i32),
    /// A write takes half of its bytes, as it may, and says so.
    Half,
    /// A write takes half of its bytes and fails.
    HalfThenError,
}

/// Which operations fail: those counted `from..until`, with `fault`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) fault: Fault,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    plan: Plan,
    count: u64,
    hit_count: u64,
    is_dead: bool,
    /// What is not durable, oldest first.
    undo: Vec<Undo>,
}

#[derive(Debug)]
enum Undo {
    Write { file: Arc<File>, id: usize, offset: u64, before: Vec<u8> },
    Create(PathBuf),
    Rename { from: PathBuf, to: PathBuf, over: Option<PathBuf> },
    Remove { path: PathBuf, parked: PathBuf },
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    file: Arc<File>,
}

impl FaultyDisk {
    pub(crate) fn new(plan: Plan) -> Self {
        Self(Arc::new(Mutex::new(State {
            plan,
            count: 0,
            hit_count: 0,
            is_dead: false,
            undo: Vec::new(),
        })))
    }

    /// For `LogOptions`, which want a disk that outlives everything.
    pub(crate) fn leak(&self) -> &'static dyn Disk {
        Box::leak(Box::new(self.clone()))
    }

    /// Operations so far, and how many of them were made to fail.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.state();
        (state.count, state.hit_count)
    }

    /// Nothing succeeds from now on, and what was not durable is gone.
    pub(crate) fn cut_power(&self) {
        let mut state = self.state();
        state.is_dead = true;
        while let Some(step) = state.undo.pop() {
            step.take_back();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Counts an operation. The fault that is due, if any.
    fn step(&self) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.state();
        if state.is_dead {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let at = state.count;
        state.count += 1;
        let due = (state.plan.from..state.plan.until).contains(&at);
        state.hit_count += u64::from(due);
        let fault = due.then_some(state.plan.fault);
        Ok((state, fault))
    }

    /// As [`FaultyDisk::step`], for an operation that has no halves.
    fn whole_step(&self) -> io::Result<MutexGuard<'_, State>> {
        match self.step()? {
            (_, Some(fault)) => Err(fault.error()),
            (state, None) => Ok(state),
        }
    }
}

impl Fault {
    fn error(self) -> io::Error {
        io::Error::from_raw_os_error(match self {
            Self::Error(code) => code,
            Self::Half | Self::HalfThenError => libc::EIO,
        })
    }
}

impl Undo {
    fn take_back(self) {
        match self {
            Self::Write { file, offset, before, .. } => {
                file.write_all_at(&before, offset).unwrap();
            }
            Self::Create(path) => {
                let _ = std::fs::remove_file(path);
            }
            Self::Rename { from, to, over } => {
                std::fs::rename(&to, from).unwrap();
                if let Some(over) = over {
                    std::fs::rename(over, to).unwrap();
                }
            }
            Self::Remove { path, parked } => std::fs::rename(parked, path).unwrap(),
        }
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.whole_step()?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        state.undo.push(Undo::Create(path.to_path_buf()));
        let file = Arc::new(file);
        Ok(Box::new(FaultyFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.whole_step()?;
        let parked = to.with_extension(format!("parked-{}", state.count));
        let over = to.exists().then(|| std::fs::rename(to, &parked).map(|()| parked));
        let over = over.transpose()?;
        RealDisk.rename(from, to)?;
        let (from, to) = (from.to_path_buf(), to.to_path_buf());
        state.undo.push(Undo::Rename { from, to, over });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.whole_step()?;
        let parked = path.with_extension(format!("parked-{}", state.count));
        std::fs::rename(path, &parked)?;
        state.undo.push(Undo::Remove { path: path.to_path_buf(), parked });
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.whole_step()?;
        state.undo.retain(|step| matches!(step, Undo::Write { .. }));
        Ok(())
    }
}

impl FaultyFile {
    fn id(&self) -> usize {
        Arc::as_ptr(&self.file).addr()
    }

    fn write(&self, state: &mut State, bytes: &[u8], offset: u64) {
        let mut before = vec![0; bytes.len()];
        self.file.read_exact_at(&mut before, offset).unwrap();
        self.file.write_all_at(bytes, offset).unwrap();
        let (file, id) = (Arc::clone(&self.file), self.id());
        state.undo.push(Undo::Write { file, id, offset, before });
    }
}

impl DiskFile for FaultyFile {
    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let _state = self.disk.whole_step()?;
        DiskFile::reserve(self.file.as_ref(), bytes)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let (mut state, fault) = self.disk.step()?;
        let half = bytes.len().div_ceil(2);
        match fault {
            None => self.write(&mut state, bytes, offset),
            Some(Fault::Half) => {
                self.write(&mut state, &bytes[..half], offset);
                return Ok(half);
            }
            Some(Fault::HalfThenError) => {
                self.write(&mut state, &bytes[..half], offset);
                return Err(Fault::HalfThenError.error());
            }
            Some(fault) => return Err(fault.error()),
        }
        Ok(bytes.len())
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, fault) = self.disk.step()?;
        let id = self.id();
        let mine = |step: &Undo| matches!(step, Undo::Write { id: of, .. } if *of == id);
        let (own, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.undo).into_iter().partition(mine);
        state.undo = others;
        if let Some(fault) = fault {
            own.into_iter().rev().for_each(Undo::take_back);
            return Err(fault.error());
        }
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn punch(&self, _begin: u64, _len: u64) {}
}
