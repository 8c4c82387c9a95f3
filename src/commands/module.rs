//! WebAssembly modules, interpreted by wasmi (<https://docs.rs/wasmi>) in slices of fuel.
//!
//! A module exports its `memory`, `alloc(len: i32) -> i32` and `run(ptr: i32, len: i32) -> i64`,
//! and imports nothing. It is given the JSON of its [`Input`] where `alloc` says, and gives the
//! place of its [`Output`] as `ptr << 32 | len`. `on_reply` of the same form takes what a fetch
//! brought, if there is one, and `run` otherwise.
//!
//! ```text
//! begin ─▶ alloc(len) ─▶ write the input ─▶ run(ptr, len) ─▶ read the output
//!            └─ slice ─┴─────── slice, slice, … ────────┘
//! ```
//!
//! Each call gets an instance of its own, so none finds what another left.
//!
//! **Never:** WASI or any other import; a start function, which could not be interrupted.

use super::manifest::Limits;
use super::program::{Failed, Input, Output, guarded};
use crate::base::hash::Map;
use crate::base::limits::PROGRAM_OUTPUT_BYTES_MAX;
use std::sync::Arc;
use wasmi::{
    CompilationMode, Config, CustomFuelCosts, EnforcedLimits, Engine, Error, Linker, Memory,
    Module, Store, StoreLimits, StoreLimitsBuilder, TrapCode, TypedFunc, TypedResumableCall,
};

/// Fuel of one slice: about a tenth of a millisecond.
pub const SLICE_FUEL: u64 = 100_000;
/// What one instruction alone may need, such as one that fills or grows the memory.
const AT_ONCE_FUEL_MAX: u64 = 4 * SLICE_FUEL;
/// Bytes that are copied for one unit of fuel: what makes a slice of copying as long as another.
const BYTES_PER_FUEL: u32 = 8;
const TABLE_ITEMS_MAX: usize = 10_000;
const TABLES_MAX: usize = 4;
/// Bytes of the values of nested calls.
const STACK_BYTES_MAX: usize = 512 << 10;
const CALLS_DEEP_MAX: usize = 500;
/// Modules that stay compiled.
const COMPILED_MAX: usize = 256;

/// The modules of a shard.
#[derive(Default)]
pub struct Modules {
    /// By command: its version, and its module or what is wrong with it.
    known: Map<Arc<str>, (u64, Looked)>,
}

/// A module, or what is wrong with it.
type Looked = Result<Arc<Known>, String>;

/// A module that can be run. It has an engine of its own, which holds all that was compiled of it.
struct Known {
    module: Module,
    linker: Linker<StoreLimits>,
    takes_replies: bool,
}

impl std::fmt::Debug for Modules {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Modules").field("known", &self.known.len()).finish()
    }
}

/// A call of a module that is under way.
pub struct Run {
    store: Store<StoreLimits>,
    memory: Memory,
    alloc: TypedFunc<i32, i32>,
    main: TypedFunc<(i32, i32), i64>,
    stage: Stage,
    fuel: u64,
    fuel_left: u64,
    /// The next slice needs as much to get anywhere.
    needs: u64,
    output_bytes: usize,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Run").field("fuel_left", &self.fuel_left).finish_non_exhaustive()
    }
}

enum Stage {
    Alloc { input: Vec<u8> },
    Allocating { call: wasmi::TypedResumableCallOutOfFuel<i32>, input: Vec<u8> },
    Main { at: i32, len: i32 },
    Running { call: wasmi::TypedResumableCallOutOfFuel<i64> },
    Ended,
}

impl Modules {
    /// Makes an instance for one call. Nothing of it has run yet.
    pub fn begin(
        &mut self,
        (key, version): (&Arc<str>, u64),
        bytes: &[u8],
        limits: &Limits,
        input: &Input,
    ) -> Result<Run, Failed> {
        let known = self.known(key, version, bytes).map_err(Failed::Broken)?;
        let json = serde_json::to_vec(input).expect("it has nothing that JSON lacks");
        guarded(|| Run::new(&known, limits, json, input.reply.is_some()))?
    }

    fn known(&mut self, key: &Arc<str>, version: u64, bytes: &[u8]) -> Looked {
        if let Some((known, module)) = self.known.get(key)
            && *known == version
        {
            return module.clone();
        }
        if self.known.len() >= COMPILED_MAX {
            self.known.clear();
        }
        let module = guarded(|| Known::read(bytes).map(Arc::new));
        let module = module.unwrap_or_else(|failed| Err(failed.why().to_owned()));
        self.known.insert(key.clone(), (version, module.clone()));
        module
    }
}

/// Looks at a module only to say what is wrong with it.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    let read = guarded(|| Known::read(bytes).map(drop));
    read.unwrap_or_else(|failed| Err(failed.why().to_owned()))
}

fn config() -> Config {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        .fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: BYTES_PER_FUEL,
            fuel_per_bytes_translated: 7,
            fuel_per_bytes_validated: 2,
        })
        // Function by function, as they are called: so this too is done in slices.
        .compilation_mode(CompilationMode::Lazy)
        .enforced_limits(EnforcedLimits::strict())
        .allow_start_fn(false)
        .ignore_custom_sections(true)
        .set_max_recursion_depth(CALLS_DEEP_MAX)
        .set_max_stack_height(STACK_BYTES_MAX)
        .set_max_cached_stacks(2);
    config
}

impl Known {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let engine = Engine::new(&config());
        let module = Module::new(&engine, bytes).map_err(|error| words(&error))?;
        if let Some(import) = module.imports().next() {
            let (from, name) = (import.module(), import.name());
            return Err(format!("it imports {from}.{name}; a module here imports nothing"));
        }
        let exports: Vec<String> = module.exports().map(|one| one.name().to_owned()).collect();
        for (name, what) in [
            ("memory", "its memory"),
            ("alloc", "alloc(len: i32) -> i32"),
            ("run", "run(ptr: i32, len: i32) -> i64"),
        ] {
            if !exports.iter().any(|known| known == name) {
                return Err(format!("it does not export {what}"));
            }
        }
        let takes_replies = exports.iter().any(|known| known == "on_reply");
        let linker = Linker::new(&engine);
        Ok(Self { module, linker, takes_replies })
    }
}

impl Run {
    fn new(known: &Known, limits: &Limits, input: Vec<u8>, reply: bool) -> Result<Self, Failed> {
        let broken = Failed::Broken;
        let bytes_max = usize::try_from(limits.memory_kb << 10).unwrap_or(usize::MAX);
        let limiter = StoreLimitsBuilder::new()
            .memory_size(bytes_max)
            .table_elements(TABLE_ITEMS_MAX)
            .memories(1)
            .tables(TABLES_MAX)
            .instances(1)
            .build();
        let mut store = Store::new(known.linker.engine(), limiter);
        store.limiter(|limits| limits);
        store.set_fuel(AT_ONCE_FUEL_MAX).expect("fuel is metered");
        let instance = known.linker.instantiate_and_start(&mut store, &known.module);
        let instance = instance.map_err(|error| {
            let kb = limits.memory_kb;
            broken(format!("it does not fit limits.memory_kb ({kb}): {}", words(&error)))
        })?;
        let memory = instance.get_memory(&store, "memory");
        let memory = memory.ok_or_else(|| broken("its export `memory` is no memory".to_owned()))?;
        let other = |name: &str, ty: &str| broken(format!("its export `{name}` is not {ty}"));
        let alloc = instance.get_typed_func(&store, "alloc");
        let alloc = alloc.map_err(|_| other("alloc", "(i32) -> i32"))?;
        let name = if reply && known.takes_replies { "on_reply" } else { "run" };
        let main = instance.get_typed_func(&store, name);
        let main = main.map_err(|_| other(name, "(i32, i32) -> i64"))?;
        let (stage, fuel, needs) = (Stage::Alloc { input }, limits.fuel, 0);
        let output_bytes = limits.output_bytes;
        Ok(Self { store, memory, alloc, main, stage, fuel, fuel_left: fuel, needs, output_bytes })
    }

    /// Runs for one slice, and gives what the module says if it has come to its end. Adds the fuel
    /// to `cost`.
    pub fn slice(&mut self, cost: &mut u64) -> Option<Result<Output, Failed>> {
        let given = SLICE_FUEL.max(self.needs).min(self.fuel_left);
        self.store.set_fuel(given).expect("fuel is metered");
        self.needs = 0;
        let stage = std::mem::replace(&mut self.stage, Stage::Ended);
        let next = guarded(|| self.go(stage));
        let used = given - self.store.get_fuel().expect("fuel is metered");
        self.fuel_left -= used;
        *cost += used;
        match next.map_err(Ended::Failed).and_then(|next| next) {
            Ok(Stage::Ended) => unreachable!("an end gives its output"),
            Ok(stage) if self.needs > self.fuel_left => {
                drop(stage);
                Some(Err(Failed::Spent(format!("it used up its fuel of {}", self.fuel))))
            }
            Ok(_) if self.needs > AT_ONCE_FUEL_MAX => {
                let bytes = AT_ONCE_FUEL_MAX * u64::from(BYTES_PER_FUEL);
                let text = format!("it grows, fills or copies more than {bytes} bytes at once");
                Some(Err(Failed::Broken(text)))
            }
            Ok(stage) => {
                self.stage = stage;
                None
            }
            Err(Ended::Failed(failed)) => Some(Err(failed)),
            Err(Ended::Said(place)) => Some(self.output(place)),
        }
    }

    /// Goes as far as the fuel of the slice lasts.
    fn go(&mut self, stage: Stage) -> Result<Stage, Ended> {
        let (call, input) = match stage {
            Stage::Alloc { input } => {
                let len = input.len() as i32;
                (self.alloc.call_resumable(&mut self.store, len)?, input)
            }
            Stage::Allocating { call, input } => (call.resume(&mut self.store)?, input),
            Stage::Main { at, len } => {
                let call = self.main.call_resumable(&mut self.store, (at, len))?;
                return self.main_went(call);
            }
            Stage::Running { call } => {
                let call = call.resume(&mut self.store)?;
                return self.main_went(call);
            }
            Stage::Ended => unreachable!("an ended run is dropped"),
        };
        match call {
            TypedResumableCall::Finished(at) => {
                let place = at.cast_unsigned() as usize;
                let written = self.memory.write(&mut self.store, place, &input);
                written.map_err(|_| {
                    let text = format!("alloc({}) gave {place}, outside its memory", input.len());
                    Ended::Failed(Failed::Broken(text))
                })?;
                self.go(Stage::Main { at, len: input.len() as i32 })
            }
            TypedResumableCall::OutOfFuel(call) => {
                self.needs = call.required_fuel();
                Ok(Stage::Allocating { call, input })
            }
            TypedResumableCall::HostTrap(_) => unreachable!("it imports nothing"),
        }
    }

    fn main_went(&mut self, call: TypedResumableCall<i64>) -> Result<Stage, Ended> {
        match call {
            TypedResumableCall::Finished(place) => Err(Ended::Said(place.cast_unsigned())),
            TypedResumableCall::OutOfFuel(call) => {
                self.needs = call.required_fuel();
                Ok(Stage::Running { call })
            }
            TypedResumableCall::HostTrap(_) => unreachable!("it imports nothing"),
        }
    }

    fn output(&self, place: u64) -> Result<Output, Failed> {
        let (at, len) = ((place >> 32) as usize, place as u32 as usize);
        if len > PROGRAM_OUTPUT_BYTES_MAX {
            let text = format!("it said {len} bytes, of at most {PROGRAM_OUTPUT_BYTES_MAX}");
            return Err(Failed::Broken(text));
        }
        let bytes = self.memory.data(&self.store).get(at..at + len).ok_or_else(|| {
            Failed::Broken(format!("its answer of {len} bytes at {at} is outside its memory"))
        })?;
        Output::read(bytes, self.output_bytes).map_err(Failed::Broken)
    }
}

/// How a run ended.
enum Ended {
    Said(u64),
    Failed(Failed),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(match error.as_trap_code() {
            Some(TrapCode::OutOfFuel) => Failed::Spent("it used up its fuel".to_owned()),
            Some(TrapCode::StackOverflow) => Failed::Broken("its calls go too deep".to_owned()),
            _ => Failed::Broken(words(&error)),
        })
    }
}

/// An error, in one line.
fn words(error: &Error) -> String {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    text[..text.floor_char_boundary(200)].to_owned()
}
