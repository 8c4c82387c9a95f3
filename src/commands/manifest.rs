//! The manifest of a command: its JSON, read strictly, so that a fault names line and column.

use super::template::Template;
use super::{BUILT_IN, packed};
use crate::base::limits::{
    COMMAND_ALIASES_MAX, COMMAND_ARGUMENTS_MAX, COMMAND_AT_ONCE_MAX, COMMAND_CHOICES_MAX,
    COMMAND_COOLDOWN_S_MAX, COMMAND_FUEL_MAX, COMMAND_HELP_BYTES_MAX, COMMAND_MEMORY_KB_MAX,
    COMMAND_OPERATIONS_MAX, COMMAND_OUTPUT_BYTES_MAX, COMMAND_TIME_MS_MAX, TEXT_BYTES_MAX,
    URL_BYTES_MAX, USER_NAME_BYTES_MAX,
};
use crate::base::role::Role;
use crate::registry::part::{Fields, Part};
use crate::registry::{Fault, check_name};
use serde_json::Value;
use std::sync::Arc;

/// Who sees an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// Everybody in the room, as a message.
    InChannel,
    /// Whoever asked; it is not in the room's history.
    Ephemeral,
}

impl Shown {
    /// (name, value)
    pub const ALL: [(&'static str, Self); 2] =
        [("in_channel", Self::InChannel), ("ephemeral", Self::Ephemeral)];
}

/// What an argument is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// A word; its bounds are letters.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Number,
    /// Yes or no.
    Bool,
    /// The name of a user, with or without `@`.
    User,
    /// The name of a room, with or without `#`.
    Room,
    /// All that follows, as it was typed.
    Rest,
}

impl Type {
    /// (name, value)
    pub const ALL: [(&'static str, Self); 8] = [
        ("string", Self::Text),
        ("int", Self::Int),
        ("number", Self::Number),
        ("bool", Self::Bool),
        ("user", Self::User),
        ("room", Self::Room),
        ("choice", Self::Text),
        ("rest", Self::Rest),
    ];
}

/// One argument.
#[derive(Clone, PartialEq, Debug)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What it is.
    pub ty: Type,
    /// Its absence is an error.
    pub required: bool,
    /// Least value, or letters.
    pub min: Option<f64>,
    /// Greatest value, or letters.
    pub max: Option<f64>,
    /// What it is when it is left out.
    pub default: Option<Value>,
    /// Nothing else is allowed, unless empty.
    pub choices: Vec<Value>,
    /// One line for people.
    pub help: Box<str>,
}

/// What carries a command out.
#[derive(Clone, PartialEq, Debug)]
pub enum Backend {
    /// A text with placeholders.
    Template(Template),
    /// Another command, with arguments that may have placeholders.
    Alias(Template),
    /// A POST to somebody's program, as Slack does it.
    Http(Callback),
    /// The source of a Rhai script.
    Script(Arc<str>),
    /// A WebAssembly module.
    Wasm(Arc<[u8]>),
    /// The file name of a program in the folder of the operator's programs.
    Exec(Arc<str>),
}

impl Backend {
    /// Its field in the manifest.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Template(_) => "template",
            Self::Alias(_) => "alias",
            Self::Http(_) => "http",
            Self::Script(_) => "script",
            Self::Wasm(_) => "wasm",
            Self::Exec(_) => "exec",
        }
    }
}

/// Names of all back-ends.
const BACKENDS: [&str; 6] = ["template", "alias", "http", "script", "wasm", "exec"];

/// Where a call goes, and what signs it.
#[derive(Clone, PartialEq, Eq)]
pub struct Callback {
    /// `https://`, or `http://` in a network that the operator named.
    pub url: Arc<str>,
    /// Signs each call as Slack does; empty: nothing does.
    pub secret: Arc<str>,
}

impl std::fmt::Debug for Callback {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Callback").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What one call may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Milliseconds until the first answer of a callback, or the end of a module or program.
    pub time_ms: u64,
    /// Fuel of a module: about as many instructions.
    pub fuel: u64,
    /// Operations of a script.
    pub operations: u64,
    /// Memory of a module or program, KiB.
    pub memory_kb: u64,
    /// Bytes of one answer.
    pub output_bytes: usize,
    /// Calls at a time, on each shard.
    pub at_once: usize,
}

/// What a program may use of memory unless it says otherwise, KiB.
const PROGRAM_MEMORY_KB: u64 = 512 << 10;

impl Default for Limits {
    fn default() -> Self {
        Self {
            time_ms: 3_000,
            fuel: 10_000_000,
            operations: 100_000,
            memory_kb: 16 << 10,
            output_bytes: 4 << 10,
            at_once: 16,
        }
    }
}

/// All that is known of a command.
#[derive(Clone, PartialEq, Debug)]
pub struct Manifest {
    /// One line for people.
    pub help: Box<str>,
    /// The arguments as people should read them; made of the arguments unless given.
    pub usage: Box<str>,
    /// Whole lines that work.
    pub examples: Vec<Box<str>>,
    /// Other names.
    pub aliases: Vec<Box<str>>,
    /// What it takes; empty: anything.
    pub arguments: Vec<Argument>,
    /// The least role that may use it. A contact of WhatsApp is a guest.
    pub role: Role,
    /// Who alone may use it, whatever their role; empty: everybody of the role.
    pub users: Vec<Box<str>>,
    /// Only agents may use it.
    pub agents: bool,
    /// Seconds until the same user may use it again.
    pub user_cooldown_s: u64,
    /// Seconds until anybody in the same room may.
    pub room_cooldown_s: u64,
    /// It asks before it does anything.
    pub confirm: bool,
    /// Who sees its answers, unless the answer says so itself.
    pub shown: Shown,
    /// What one call may use.
    pub limits: Limits,
    /// Beginnings of the addresses that a script or module may fetch.
    pub fetch: Vec<Box<str>>,
    /// Why it may not be used for now.
    pub disabled: Option<Box<str>>,
    /// What carries it out.
    pub backend: Backend,
}

const FIELDS: [&str; 12] = [
    "help", "args", "aliases", "allow", "cooldown", "confirm", "reply", "limits", "disabled",
    "usage", "examples", "fetch",
];

impl Manifest {
    /// Reads a manifest.
    pub fn parse(json: &str) -> Result<Self, Fault> {
        let part = Part::whole(json)?;
        let fields = part.object()?;
        fields.only(FIELDS.into_iter().chain(BACKENDS))?;
        let arguments = arguments(&fields)?;
        let backend = backend(&part, &fields, &arguments)?;
        let (role, users, agents) = allow(fields.get("allow"))?;
        let (user_cooldown_s, room_cooldown_s) = cooldown(fields.get("cooldown"))?;
        let flag = |name: &str| fields.get(name).map_or(Ok(false), Part::flag);
        let text = |name: &str| {
            fields.get(name).map_or(Ok(String::new()), |part| part.text(COMMAND_HELP_BYTES_MAX))
        };
        let callback = matches!(backend, Backend::Http(_));
        let shown = if callback { Shown::Ephemeral } else { Shown::InChannel };
        let examples = texts(fields.get("examples"), COMMAND_ALIASES_MAX, COMMAND_HELP_BYTES_MAX)?;
        let usage = match text("usage")? {
            given if !given.is_empty() => given,
            _ => arguments.iter().map(usage).collect::<Vec<_>>().join(" "),
        };
        Ok(Self {
            help: text("help")?.into(),
            usage: usage.into(),
            examples,
            aliases: aliases(fields.get("aliases"))?,
            role,
            users,
            agents,
            user_cooldown_s,
            room_cooldown_s,
            confirm: flag("confirm")?,
            shown: fields.get("reply").map_or(Ok(shown), |part| part.one_of(&Shown::ALL))?,
            limits: limits(fields.get("limits"), &backend)?,
            fetch: fetch(fields.get("fetch"))?,
            disabled: disabled(fields.get("disabled"))?,
            arguments,
            backend,
        })
    }

    /// A line that works, as far as that is known.
    pub fn example(&self, name: &str) -> String {
        match self.examples.first() {
            Some(example) => example.to_string(),
            None if self.usage.is_empty() => String::new(),
            None => format!("/{name} {}", self.usage),
        }
    }
}

/// The built-in command of this name must be what people get.
pub(super) fn check_free(name: &str) -> Result<(), String> {
    match BUILT_IN.iter().any(|one| one.name == name) {
        true => Err(format!("/{name} is built in")),
        false => Ok(()),
    }
}

/// `<city> [days]`.
fn usage(argument: &Argument) -> String {
    let dots = if argument.ty == Type::Rest { "…" } else { "" };
    match argument.required {
        true => format!("<{}{dots}>", argument.name),
        false => format!("[{}{dots}]", argument.name),
    }
}

fn backend(part: &Part<'_>, fields: &Fields<'_>, arguments: &[Argument]) -> Result<Backend, Fault> {
    let given: Vec<_> =
        BACKENDS.iter().filter_map(|name| Some((*name, fields.get(name)?))).collect();
    let [(name, value)] = given.as_slice() else {
        let problem = format!("wants one of {} to say what it does", BACKENDS.join(", "));
        return Err(part.fault(problem));
    };
    let text = |bytes_max| value.text(bytes_max);
    let template = || Template::parse(&text(TEXT_BYTES_MAX)?, value, arguments);
    Ok(match *name {
        "template" => Backend::Template(template()?),
        "alias" => Backend::Alias(template()?),
        "http" => Backend::Http(callback(value)?),
        "script" => Backend::Script(text(TEXT_BYTES_MAX)?.into()),
        "wasm" => Backend::Wasm(module(value)?),
        _ => {
            let program = text(USER_NAME_BYTES_MAX)?;
            let plain =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if !program.bytes().all(plain) || program.starts_with('.') {
                return Err(value.fault("wants the name of a file in the folder of programs"));
            }
            Backend::Exec(program.into())
        }
    })
}

fn callback(part: &Part<'_>) -> Result<Callback, Fault> {
    let fields = part.object()?;
    fields.only(["url", "secret"])?;
    let url = fields.need("url")?;
    let secret = fields.get("secret").map_or(Ok(String::new()), |part| part.text(256))?;
    Ok(Callback { url: url.text(URL_BYTES_MAX)?.into(), secret: secret.into() })
}

/// A module is packed bytes. What it does is looked at when it is put.
fn module(part: &Part<'_>) -> Result<Arc<[u8]>, Fault> {
    let text = part.text(usize::MAX)?;
    packed::unpack(&text).map(Into::into).map_err(|problem| part.fault(problem))
}

fn arguments(fields: &Fields<'_>) -> Result<Vec<Argument>, Fault> {
    let Some(part) = fields.get("args") else { return Ok(Vec::new()) };
    let parts = part.list()?;
    if parts.len() > COMMAND_ARGUMENTS_MAX {
        return Err(part.fault(format!("takes at most {COMMAND_ARGUMENTS_MAX} arguments")));
    }
    let mut all: Vec<Argument> = Vec::new();
    for part in &parts {
        let one = argument(part)?;
        if all.iter().any(|other| other.name == one.name) {
            return Err(part.fault(format!("`{}` stands here a second time", one.name)));
        }
        if all.last().is_some_and(|before| before.ty == Type::Rest) {
            return Err(part.fault("nothing can follow an argument of type rest"));
        }
        if one.required && all.last().is_some_and(|before| !before.required) {
            return Err(part.fault("cannot be required behind one that is not"));
        }
        all.push(one);
    }
    Ok(all)
}

fn argument(part: &Part<'_>) -> Result<Argument, Fault> {
    let fields = part.object()?;
    fields.only(["name", "type", "required", "min", "max", "default", "choices", "help"])?;
    let name_part = fields.need("name")?;
    let name = name_part.text(USER_NAME_BYTES_MAX)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.bytes().all(plain) || name.as_bytes()[0].is_ascii_digit() {
        return Err(name_part.fault("wants letters, digits and _, the first of them no digit"));
    }
    let ty_part = fields.get("type");
    let ty = ty_part.map_or(Ok(Type::Text), |part| part.one_of(&Type::ALL))?;
    let bound = |name: &str| -> Result<Option<f64>, Fault> {
        let Some(part) = fields.get(name) else { return Ok(None) };
        part.value().as_f64().map(Some).ok_or_else(|| part.fault("wants a number"))
    };
    let help =
        fields.get("help").map_or(Ok(String::new()), |part| part.text(COMMAND_HELP_BYTES_MAX))?;
    let required = fields.get("required").map(Part::flag).transpose()?;
    let mut argument = Argument {
        name,
        ty,
        required: required.unwrap_or(fields.get("default").is_none()),
        min: bound("min")?,
        max: bound("max")?,
        default: None,
        choices: Vec::new(),
        help: help.into(),
    };
    if let Some(part) = fields.get("choices") {
        for choice in part.list()? {
            argument.choices.push(fitting(&choice, &argument)?);
        }
        if argument.choices.len() > COMMAND_CHOICES_MAX {
            return Err(part.fault(format!("takes at most {COMMAND_CHOICES_MAX} choices")));
        }
    } else if ty_part.is_some_and(|part| part.value() == "choice") {
        return Err(part.fault("an argument of type choice wants `choices`"));
    }
    if let Some(part) = fields.get("default") {
        argument.default = Some(fitting(part, &argument)?);
    }
    Ok(argument)
}

/// A default or a choice has to be what could be typed.
fn fitting(part: &Part<'_>, argument: &Argument) -> Result<Value, Fault> {
    let value = part.value();
    if value.is_object() || value.is_array() || value.is_null() {
        return Err(part.fault("wants a text, a number, true or false"));
    }
    let unlisted = Argument { choices: argument.choices.clone(), ..argument.clone() };
    let unlisted = if part.path().contains(".choices[") {
        Argument { choices: Vec::new(), ..unlisted }
    } else {
        unlisted
    };
    unlisted.value(&super::arguments::plain(&value)).map_err(|problem| part.fault(problem))
}

fn texts(
    part: Option<&Part<'_>>,
    count_max: usize,
    bytes_max: usize,
) -> Result<Vec<Box<str>>, Fault> {
    let Some(part) = part else { return Ok(Vec::new()) };
    let parts = part.list()?;
    if parts.len() > count_max {
        return Err(part.fault(format!("takes at most {count_max}")));
    }
    parts.iter().map(|part| Ok(part.text(bytes_max)?.into())).collect()
}

fn aliases(part: Option<&Part<'_>>) -> Result<Vec<Box<str>>, Fault> {
    let names = texts(part, COMMAND_ALIASES_MAX, USER_NAME_BYTES_MAX)?;
    for name in &names {
        let part = part.expect("it has names");
        check_name(name).map_err(|fault| part.fault(fault.problem))?;
        check_free(name).map_err(|problem| part.fault(problem))?;
    }
    Ok(names)
}

fn fetch(part: Option<&Part<'_>>) -> Result<Vec<Box<str>>, Fault> {
    let begins = texts(part, COMMAND_ALIASES_MAX, URL_BYTES_MAX)?;
    for (index, begin) in begins.iter().enumerate() {
        let part = &part.expect("it has addresses").list()?[index];
        super::program::check_begin(begin).map_err(|problem| part.fault(problem))?;
    }
    Ok(begins)
}

/// Least role, users, whether agents only.
type Allowed = (Role, Vec<Box<str>>, bool);

fn allow(part: Option<&Part<'_>>) -> Result<Allowed, Fault> {
    let Some(part) = part else { return Ok((Role::Guest, Vec::new(), false)) };
    let fields = part.object()?;
    fields.only(["role", "users", "agents"])?;
    let roles = Role::ALL.map(|(role, name, _)| (name, role));
    let role = fields.get("role").map_or(Ok(Role::Guest), |part| part.one_of(&roles))?;
    let users = texts(fields.get("users"), COMMAND_CHOICES_MAX, USER_NAME_BYTES_MAX)?;
    let agents = fields.get("agents").map_or(Ok(false), Part::flag)?;
    Ok((role, users, agents))
}

fn cooldown(part: Option<&Part<'_>>) -> Result<(u64, u64), Fault> {
    let Some(part) = part else { return Ok((0, 0)) };
    let fields = part.object()?;
    fields.only(["user_s", "room_s"])?;
    let seconds = |name: &str| -> Result<u64, Fault> {
        let Some(part) = fields.get(name) else { return Ok(0) };
        Ok(part.number(0..=COMMAND_COOLDOWN_S_MAX)? as u64)
    };
    Ok((seconds("user_s")?, seconds("room_s")?))
}

fn limits(part: Option<&Part<'_>>, backend: &Backend) -> Result<Limits, Fault> {
    let mut limits = Limits::default();
    if matches!(backend, Backend::Exec(_)) {
        // Of addresses, of which an interpreter takes many and uses few.
        limits.memory_kb = PROGRAM_MEMORY_KB;
    }
    let Some(part) = part else { return Ok(limits) };
    let fields = part.object()?;
    fields.only(["time_ms", "fuel", "operations", "memory_kb", "output_bytes", "at_once"])?;
    let number = |name: &str, default: u64, max: u64| -> Result<u64, Fault> {
        let Some(part) = fields.get(name) else { return Ok(default) };
        Ok(part.number(1..=max as i64)? as u64)
    };
    limits.time_ms = number("time_ms", limits.time_ms, COMMAND_TIME_MS_MAX)?;
    limits.fuel = number("fuel", limits.fuel, COMMAND_FUEL_MAX)?;
    limits.operations = number("operations", limits.operations, COMMAND_OPERATIONS_MAX)?;
    limits.memory_kb = number("memory_kb", limits.memory_kb, COMMAND_MEMORY_KB_MAX)?;
    let bytes = limits.output_bytes as u64;
    limits.output_bytes = number("output_bytes", bytes, COMMAND_OUTPUT_BYTES_MAX as u64)? as usize;
    let at_once = limits.at_once as u64;
    limits.at_once = number("at_once", at_once, COMMAND_AT_ONCE_MAX as u64)? as usize;
    Ok(limits)
}

fn disabled(part: Option<&Part<'_>>) -> Result<Option<Box<str>>, Fault> {
    let Some(part) = part else { return Ok(None) };
    if part.is_text() {
        return Ok(Some(part.text(COMMAND_HELP_BYTES_MAX)?.into()));
    }
    Ok(part.flag()?.then(|| "it was switched off".into()))
}
