//! `erase`: takes a person, a room or a message out of the log, by the server if one runs and by
//! itself if none does.
//!
//! The one verb that changes something, so it is no report: without `--yes` it only says what it
//! would do.

use super::render::{Cell, Column, Format, Look, Rows};
use super::{Found, ScanError, Surroundings, command_line};
use crate::log::erase::{
    EraseError, Links, Offline, Request, Stage, Step, Survey, Target, carry_out, plan, request,
    survey_all,
};
use crate::log::{DataDir, LogError, directory};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Its name on the command line.
pub(super) const VERB: &str = "erase";

const COLUMNS: &[Column] =
    &[Column { name: "measure", width: 18 }, Column { name: "value", width: 0 }];

/// The verb with its options. `--user` and `--room` are those of every report.
pub(super) fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
    };
    let command = Command::new(VERB)
        .about("Takes a user, a room's texts or a message out of the log for good")
        .arg(text("user", "USER", "This user: all they wrote, and their name"))
        .arg(text("room", "ROOM", "All texts of this room; its people stay"))
        .arg(text("message", "ROOM/O", "This message of a room, by its position"))
        .arg(text("by", "NAME", "Who demands it; the name of the account when absent"))
        .arg(text("reason", "TEXT", "Why, for the record; not the name of the erased"))
        .arg(flag("only", "Of a contact only this id, and none that the log knows for the same"))
        .arg(flag("dry-run", "Only say what would change"))
        .arg(flag("yes", "Do it; there is no way back"))
        .arg(flag("force", "Give up damaged bytes and files that nobody can look into"))
        .after_help(
            "Give one of --user, --room and --message. A contact of WhatsApp is called wa:NUMBER,\n\
             and goes under all ids that lead to the same conversation, unless --only says\n\
             otherwise; the user name is none of them.\n\
             Names and texts go, who did what when stays under a name like erased-4f1c.... Not\n\
             erased: what others wrote about a person, exports, backups, what clients received.\n\
             Exit status: 0 erased (or something to erase), 1 nothing of it is in the log,\n\
             2 refused, interrupted or failed.",
        );
    command_line::without_filters(command)
}

/// Looks at a demand without a change, after which the tool says that it still waits.
const PATIENCE_LOOKS: u32 = 200;

/// What is being asked for and where.
struct Order<'a> {
    root: &'a Path,
    /// One for each id of the subject; the one that was asked for is the first.
    requests: Vec<Request>,
    format: Format,
    look: Look,
}

pub(super) fn run(
    matches: &ArgMatches,
    out: &mut dyn Write,
    words: &mut dyn Write,
    surroundings: &mut Surroundings<'_>,
) -> Result<Found, ScanError> {
    let root = matches.get_one::<PathBuf>("data").expect("has a default");
    super::not_a_file(root)?;
    if !directory::log_dir(root).is_dir() {
        return Err(ScanError::Log(LogError::Missing(root.clone())));
    }
    let order = Order {
        root,
        requests: demands(root, matches, surroundings.now_us)?,
        format: command_line::format(matches),
        look: Look { colour: surroundings.colour, person: surroundings.terminal },
    };
    if let [_, others @ ..] = &*order.requests
        && !others.is_empty()
    {
        let others: Vec<_> = others.iter().map(|request| subject_of(&request.target)).collect();
        writeln!(words, "the same contact: {} (--only leaves them)", others.join(", "))?;
    }
    if matches.get_flag("dry-run") || !matches.get_flag("yes") {
        let found = survey(&order, out)?;
        if found == Found::Nothing {
            say_unknown(&order, words)?;
        } else if !matches.get_flag("dry-run") {
            writeln!(words, "nothing was erased; add --yes to do it")?;
        }
        return Ok(found);
    }
    let requests = erase(&order, words, surroundings)?;
    if let Some(refused) = requests.iter().find(|request| request.stage == Stage::Refused) {
        let hint = "hint: --force gives up what is damaged";
        return Err(ScanError::Argument(format!("{}\n{hint}", refused.problem)));
    }
    receipt(&order, &requests, out)?;
    if requests.iter().all(|request| request.record_count == 0) {
        say_unknown(&order, words)?;
        return Ok(Found::Nothing);
    }
    Ok(Found::Something)
}

fn say_unknown(order: &Order<'_>, words: &mut dyn Write) -> io::Result<()> {
    writeln!(words, "nothing of it is in the log")?;
    if let Target::User { user } = &order.requests[0].target
        && user.trim_start_matches('+').bytes().all(|byte| byte.is_ascii_digit())
    {
        writeln!(words, "hint: a contact of WhatsApp is called wa:NUMBER, without a plus sign")?;
    }
    Ok(())
}

/// The demand for what was asked for, and those for the other ids of the same contact.
fn demands(root: &Path, matches: &ArgMatches, now_us: i64) -> Result<Vec<Request>, ScanError> {
    let first = demand(matches, now_us)?;
    let mut requests = vec![first];
    if let Target::User { user } = &requests[0].target
        && !matches.get_flag("only")
    {
        let files = plan::files(&directory::log_dir(root), u64::MAX)?;
        let mut kin = Links::read(&files).kin(user);
        kin.remove(user);
        for user in kin {
            let Request { by, reason, force, .. } = &requests[0];
            let target = Target::User { user };
            check_reason(reason, &target)?;
            let mut request = Request::new(random()?, target, by, reason, now_us);
            request.force = *force;
            requests.push(request);
        }
    }
    Ok(requests)
}

fn demand(matches: &ArgMatches, now_us: i64) -> Result<Request, ScanError> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    for name in ["since", "until"] {
        if text(name).is_some() {
            let why = format!("erase takes all or nothing: --{name} does not apply");
            return Err(ScanError::Argument(why));
        }
    }
    let target = match (text("user"), text("room"), text("message")) {
        (Some(user), None, None) => Target::User { user },
        (None, Some(room), None) => Target::Room { room },
        (None, None, Some(message)) => {
            let parts =
                message.rsplit_once('/').and_then(|(room, o)| Some((room, o.parse().ok()?)));
            let Some((room, o)) = parts else {
                let why = "--message wants a room and a position, like general/17";
                return Err(ScanError::Argument(why.to_owned()));
            };
            Target::Message { room: room.to_owned(), o }
        }
        _ => {
            let why = "erase wants one of --user, --room and --message";
            return Err(ScanError::Argument(why.to_owned()));
        }
    };
    let by = text("by").or_else(|| std::env::var("USER").ok()).unwrap_or_default();
    let reason = text("reason").unwrap_or_default();
    check_reason(&reason, &target)?;
    if by.len() + reason.len() > 1_024 {
        return Err(ScanError::Argument("--by and --reason are at most 1,024 bytes".to_owned()));
    }
    let mut request = Request::new(random()?, target, &by, &reason, now_us);
    request.force = matches.get_flag("force");
    Ok(request)
}

fn check_reason(reason: &str, target: &Target) -> Result<(), ScanError> {
    let subject = match target {
        Target::User { user } => user.strip_prefix("wa:").unwrap_or(user),
        _ => target.platform_id().unwrap_or(""),
    };
    if names(reason, subject) {
        let why = "--reason stays in the log for good, so it must not name who is erased";
        return Err(ScanError::Argument(why.to_owned()));
    }
    Ok(())
}

fn subject_of(target: &Target) -> &str {
    match target {
        Target::User { user } => user,
        _ => "",
    }
}

/// Whether words name a subject: as a word of theirs, in whatever case.
fn names(words: &str, subject: &str) -> bool {
    let (words, subject) = (words.to_lowercase(), subject.to_lowercase());
    let is_part = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    !subject.is_empty()
        && words.match_indices(&subject).any(|(at, _)| {
            let (before, behind) = (&words[..at], &words[at + subject.len()..]);
            !is_part(before.chars().next_back()) && !is_part(behind.chars().next())
        })
}

/// The number of an erasure is in names that stay: nobody may guess it before.
fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Says what would change, file by file.
fn survey(order: &Order<'_>, out: &mut dyn Write) -> Result<Found, ScanError> {
    let files = plan::files(&directory::log_dir(order.root), u64::MAX)?;
    let mut rows = Vec::new();
    let mut found = Found::Nothing;
    for request in &order.requests {
        let (finds, surveys) = survey_all(&files, request, &mut || Ok(())).map_err(words_of)?;
        let segments = || surveys.iter().filter(|survey| is_segment(survey));
        let touched = segments().filter(|survey| survey.change_count > 0);
        let change_count: u64 = segments().map(|survey| survey.change_count).sum();
        if change_count > 0 {
            found = Found::Something;
        }
        if order.requests.len() > 1 {
            rows.push(("user", Cell::Text(subject_of(&request.target).to_owned())));
        }
        rows.extend([
            ("segments", Cell::Count(segments().count() as u64)),
            ("segments to rewrite", Cell::Count(touched.count() as u64)),
            ("records to empty", Cell::Count(change_count)),
            ("webhooks among them", Cell::Count(finds.raw_ids.len() as u64)),
        ]);
    }
    table(order, out, rows)?;
    Ok(found)
}

fn is_segment(survey: &Survey) -> bool {
    survey.path.extension().is_some_and(|end| end == "seg")
}

/// Leaves the demands in the data directory and sees them through.
fn erase(
    order: &Order<'_>,
    words: &mut dyn Write,
    surroundings: &mut Surroundings<'_>,
) -> Result<Vec<Request>, ScanError> {
    let save_all = || order.requests.iter().try_for_each(|request| request.save(order.root));
    match DataDir::lock(order.root) {
        Ok(dir) => {
            save_all()?;
            let mut pass = |_: Step, request: &Request| {
                let _ = progress(words, request, surroundings.terminal);
                Ok(())
            };
            let mut host = Offline::new(dir, surroundings.now_us, &mut pass);
            let requests = carry_out_all(order, &mut host)?;
            request::remove_drafts(order.root, surroundings.now_us);
            Ok(requests)
        }
        Err(LogError::Locked(_)) => {
            save_all()?;
            writeln!(words, "the server of this directory does it; this only watches")?;
            let mut wait = |path: PathBuf| wait_for_server(&path, words, surroundings);
            let paths = order.requests.iter().map(|request| request.path(order.root));
            paths.map(&mut wait).collect()
        }
        Err(error) => Err(error.into()),
    }
}

/// Sees every demand through that is not: a server or a tool that died may have left some.
fn carry_out_all(order: &Order<'_>, host: &mut Offline<'_>) -> Result<Vec<Request>, ScanError> {
    let mut ours = Vec::new();
    for mut request in request::unsettled(order.root)?.requests {
        let ended = carry_out(order.root, &mut request, host);
        let is_ours = order.requests.iter().any(|ours| ours.id == request.id);
        match ended {
            Ok(()) | Err(EraseError::Refused(_)) if is_ours => ours.push(request),
            Err(error) if is_ours => return Err(words_of(error)),
            // The next start or the next tool goes on with it.
            _ => {}
        }
    }
    if ours.len() < order.requests.len() {
        return Err(gone());
    }
    Ok(ours)
}

fn gone() -> ScanError {
    ScanError::Argument("somebody took the demand away".to_owned())
}

fn wait_for_server(
    path: &Path,
    words: &mut dyn Write,
    surroundings: &mut Surroundings<'_>,
) -> Result<Request, ScanError> {
    let mut problem = String::new();
    let (mut last, mut look_count) = (None, 0);
    loop {
        let request = Request::load(path).ok_or_else(gone)?;
        if request.is_settled() {
            return Ok(request);
        }
        if request.problem != problem && !request.problem.is_empty() {
            writeln!(words, "warning: {}; the server tries again", request.problem)?;
        }
        problem.clone_from(&request.problem);
        progress(words, &request, surroundings.terminal)?;
        look_count = if last.as_ref() == Some(&request) { look_count + 1 } else { 0 };
        if look_count == PATIENCE_LOOKS {
            let hint = "whoever stops this takes nothing back, and a start goes on with it";
            writeln!(words, "still waiting for the server; {hint}")?;
        }
        last = Some(request);
        if !(surroundings.wait)() {
            let why = "the demand stays, and the server goes on with it".to_owned();
            return Err(ScanError::Argument(why));
        }
    }
}

fn progress(words: &mut dyn Write, request: &Request, terminal: bool) -> io::Result<()> {
    let (done, all) = request.progress;
    if terminal && all > 0 {
        write!(words, "\rfiles: {done} of {all}, to rewrite: {}  ", request.segment_count)?;
        if request.stage == Stage::Rewritten {
            writeln!(words)?;
        }
        words.flush()?;
    }
    Ok(())
}

fn receipt(order: &Order<'_>, requests: &[Request], out: &mut dyn Write) -> Result<(), ScanError> {
    let mut rows = Vec::new();
    for request in requests {
        let alias = request.pseudonym();
        rows.extend([
            ("erasure", Cell::Text(format!("{:016x}", request.id))),
            ("now called", if has_alias(order) { Cell::Text(alias) } else { Cell::None }),
            ("segments rewritten", Cell::Count(u64::from(request.segment_count))),
            ("records emptied", Cell::Count(request.record_count)),
            ("records given up", Cell::Count(request.lost_count)),
            ("done", Cell::Time(request.done_us)),
        ]);
    }
    table(order, out, rows)
}

/// A message keeps its sender, and a room its name unless that is somebody's number.
fn has_alias(order: &Order<'_>) -> bool {
    match &order.requests[0].target {
        Target::User { .. } => true,
        target @ Target::Room { room } => target.renamed_room(room, "").is_some(),
        Target::Message { .. } | Target::Aged { .. } => false,
    }
}

fn table(
    order: &Order<'_>,
    out: &mut dyn Write,
    measures: Vec<(&str, Cell)>,
) -> Result<(), ScanError> {
    let mut rows = Rows::begin(out, order.format, order.look, COLUMNS)?;
    for (measure, value) in measures {
        rows.row(&[Cell::Text(measure.to_owned()), value])?;
    }
    rows.end()?;
    Ok(())
}

fn words_of(error: EraseError) -> ScanError {
    match error {
        EraseError::Log(error) => ScanError::Log(error),
        other => ScanError::Argument(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_reason_that_names_the_subject_is_known() {
        for (words, subject, want) in [
            ("letter of Alice, 3 May", "alice", true),
            ("legal demand", "al", false),
            ("+447700900123 wrote", "447700900123", true),
            ("(Ann B) asked", "ann b", true),
            ("", "ann", false),
            ("letter", "", false),
        ] {
            assert_eq!(super::names(words, subject), want, "{subject} in {words}");
        }
    }
}
