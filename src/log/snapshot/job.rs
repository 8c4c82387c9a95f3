//! Folding on the seal thread.

use super::fold::{FoldOptions, fold};
use super::rules::Print;
use crate::log::directory::LogError;
use crate::log::sealer::{Job, SealContext};
use std::path::Path;

/// Makes a snapshot whenever one is due: at start, and after each sealed segment.
pub struct FoldJob {
    print: Print,
    clock: fn() -> i64,
}

impl FoldJob {
    /// `clock` is the wall clock, microseconds.
    pub fn new(print: Print, clock: fn() -> i64) -> Self {
        Self { print, clock }
    }

    fn fold(&self, seal: &SealContext) -> Result<(), LogError> {
        let stop = || seal.is_stopping();
        let mut options =
            FoldOptions { now_us: (self.clock)(), print: self.print, always: false, stop: &stop };
        // Once it is due, all there is: the next start is to have little to read.
        while !stop() && fold(seal.log_dir(), &options)?.is_some() {
            options.always = true;
        }
        Ok(())
    }
}

impl Job for FoldJob {
    fn name(&self) -> &'static str {
        "snapshot"
    }

    fn start(&mut self, seal: &SealContext) -> Result<(), LogError> {
        self.fold(seal)
    }

    fn sealed(&mut self, seal: &SealContext, _: &Path, _: u64) -> Result<(), LogError> {
        self.fold(seal)
    }
}
