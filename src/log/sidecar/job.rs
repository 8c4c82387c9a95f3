//! Makes the sidecars of sealed segments, on the seal thread.

use super::{Sidecar, write};
use crate::log::catalog::{Catalog, SidecarState};
use crate::log::directory::LogError;
use crate::log::sealer::{Job, SealContext};
use std::path::Path;

/// Writes the sidecar of each segment that was sealed, and of those that have none or a stale one.
#[derive(Clone, Copy, Debug, Default)]
pub struct SidecarJob;

impl Job for SidecarJob {
    fn name(&self) -> &'static str {
        "sidecar"
    }

    fn start(&mut self, seal: &SealContext) -> Result<(), LogError> {
        sweep(seal.log_dir())?;
        refresh(seal.log_dir(), &|| seal.is_stopping())
    }

    fn sealed(
        &mut self,
        _seal: &SealContext,
        segment: &Path,
        _base_seq: u64,
    ) -> Result<(), LogError> {
        write(segment, u64::MAX).map(drop)
    }

    /// What an erasure rewrote has a new salt, so that its sidecar is stale.
    fn tick(&mut self, seal: &SealContext) -> Result<(), LogError> {
        refresh(seal.log_dir(), &|| seal.is_stopping())
    }
}

/// Makes every sidecar of `log_dir` that is not there or stale, except that of the newest segment,
/// which a writer may still hold. Returns early when `is_stopping` says so.
pub fn refresh(log_dir: &Path, is_stopping: &dyn Fn() -> bool) -> Result<(), LogError> {
    let catalog = Catalog::open(log_dir)?;
    for segment in catalog.segments().iter().filter(|segment| segment.is_final()) {
        if is_stopping() {
            return Ok(());
        }
        if segment.sidecar_state() != SidecarState::Fits {
            write(&segment.path, segment.until_seq)?;
        }
    }
    Ok(())
}

/// Takes away drafts of a process that died, and sidecars of segments that are gone.
fn sweep(log_dir: &Path) -> Result<(), LogError> {
    let listing = std::fs::read_dir(log_dir).map_err(LogError::io("list", log_dir))?;
    for entry in listing.flatten() {
        let path = entry.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_draft = name.ends_with(".idx.tmp");
        let is_orphan =
            Sidecar::parse_file_name(name).is_some() && !path.with_extension("seg").exists();
        if is_draft || is_orphan {
            std::fs::remove_file(&path).map_err(LogError::io("remove", &path))?;
        }
    }
    Ok(())
}
