//! The back-ends that are programs of others, and run on the shard: one face for those that this
//! server was built with.

use super::program::{Failed, Input, Output};
use super::{Backend, Entry};

/// The scripts and modules of a shard.
#[derive(Debug)]
pub struct Engines {
    #[cfg(feature = "script")]
    scripts: Option<super::script::Scripts>,
    #[cfg(feature = "wasm")]
    modules: super::module::Modules,
    #[cfg_attr(not(feature = "script"), expect(dead_code, reason = "only scripts look at it"))]
    clock: fn() -> u64,
}

/// A run that goes on later.
#[cfg(feature = "wasm")]
pub type Run = super::module::Run;
/// A run that goes on later: there is none.
#[cfg(not(feature = "wasm"))]
pub type Run = std::convert::Infallible;

/// How far a run got.
#[derive(Debug)]
pub enum Step {
    /// Its slice is over.
    More(Box<Run>),
    /// It has ended.
    Ended(Result<Output, Failed>),
}

impl Engines {
    /// Nothing runs yet; `clock` gives µs of a monotonic clock.
    pub fn new(clock: fn() -> u64) -> Self {
        Self {
            #[cfg(feature = "script")]
            scripts: None,
            #[cfg(feature = "wasm")]
            modules: super::module::Modules::default(),
            clock,
        }
    }

    /// Whether this server was built with what `backend` needs.
    pub fn has(backend: &Backend) -> bool {
        let (script, wasm) = (cfg!(feature = "script"), cfg!(feature = "wasm"));
        (script && matches!(backend, Backend::Script(_)))
            || (wasm && matches!(backend, Backend::Wasm(_)))
    }

    /// Begins to run a command; adds what that took to `cost`.
    pub fn begin(&mut self, entry: &Entry, input: Input, cost: &mut u64) -> Step {
        match &entry.manifest.backend {
            #[cfg(feature = "script")]
            Backend::Script(source) => {
                let scripts =
                    self.scripts.get_or_insert_with(|| super::script::Scripts::new(self.clock));
                let (key, limits) = ((&entry.key, entry.version), &entry.manifest.limits);
                Step::Ended(scripts.run(key, source, limits, input, cost))
            }
            #[cfg(feature = "wasm")]
            Backend::Wasm(bytes) => {
                let (key, limits) = ((&entry.key, entry.version), &entry.manifest.limits);
                match self.modules.begin(key, bytes, limits, &input) {
                    Ok(run) => Self::go_on(Box::new(run), cost),
                    Err(failed) => Step::Ended(Err(failed)),
                }
            }
            other => {
                let _ = (input, cost);
                let text = format!("this server was built without {}", other.name());
                Step::Ended(Err(Failed::Broken(text)))
            }
        }
    }

    /// Goes on with a run for one slice; adds what that took to `cost`.
    #[cfg(feature = "wasm")]
    pub fn go_on(mut run: Box<Run>, cost: &mut u64) -> Step {
        match run.slice(cost) {
            Some(ended) => Step::Ended(ended),
            None => Step::More(run),
        }
    }

    /// Goes on with a run for one slice.
    #[cfg(not(feature = "wasm"))]
    pub fn go_on(run: Box<Run>, _: &mut u64) -> Step {
        match *run {}
    }
}
