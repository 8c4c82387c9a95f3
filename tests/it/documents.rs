//! Documents hold the same tables as the code.

use crate::tree::read;
use ringpost::base::codes::{Advice, CloseReason, ErrorCode};
use ringpost::base::limits;
use ringpost::chat::{reply::EVENTS, request::VERBS};
use ringpost::handlers::{EventKind, Source, Words};
use ringpost::whatsapp::{graph_error, limits as platform, send};

/// The rows of the first table under a heading, cells trimmed, without the table's own head.
pub fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let begin = document.find(&format!("\n{heading}\n"));
    let section = &document[begin.unwrap_or_else(|| panic!("no heading {heading:?}"))..];
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    let rows: Vec<Vec<String>> = rows
        .map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert!(!rows.is_empty(), "no table under {heading:?}");
    rows
}

#[track_caller]
fn same(document: Vec<Vec<String>>, code: Vec<Vec<String>>, advice: &str) {
    for row in &code {
        assert!(document.contains(row), "the document lacks | {} |\n-> {advice}", row.join(" | "));
    }
    assert_eq!(document, code, "-> {advice}");
}

#[test]
fn the_protocol_lists_every_error() {
    let code = ErrorCode::ALL.map(|error| {
        let (number, name, retry) = error.describe();
        let retry = if retry { "yes" } else { "no" };
        vec![number.to_string(), format!("`{name}`"), retry.to_owned()]
    });
    let document = table(&read("docs/PROTOCOL.md"), "## Errors");
    same(document, code.to_vec(), "make docs/PROTOCOL.md and base::codes::ErrorCode equal");
}

#[test]
fn the_protocol_lists_every_close_code() {
    let code = CloseReason::ALL.map(|reason| {
        let (number, name, advice) = reason.describe();
        let advice = match advice {
            Advice::Reconnect => "reconnect",
            Advice::BackOff => "back off and resume",
            Advice::Renew => "renew its token",
            Advice::Stay => "stay away",
            Advice::Fix => "be mended",
        };
        vec![number.to_string(), format!("`{name}`"), advice.to_owned()]
    });
    let document = table(&read("docs/PROTOCOL.md"), "## Close codes");
    same(document, code.to_vec(), "make docs/PROTOCOL.md and base::codes::CloseReason equal");
}

/// The first column of a table, without its backticks.
fn names(heading: &str) -> Vec<String> {
    let rows = table(&read("docs/PROTOCOL.md"), heading);
    rows.iter().map(|row| row[0].trim_matches('`').to_owned()).collect()
}

#[test]
fn the_protocol_lists_every_verb_and_event_in_order() {
    assert_eq!(names("## Verbs"), VERBS, "-> docs/PROTOCOL.md and chat::request::VERBS");
    assert_eq!(names("## Events"), EVENTS, "-> docs/PROTOCOL.md and chat::reply::EVENTS");
}

#[test]
fn the_protocol_tells_the_limits() {
    let document = read("docs/PROTOCOL.md");
    let section = document.split_once("\n## Limits\n").expect("a heading").1;
    let kib = limits::KIB;
    for sentence in [
        format!("A frame holds {} KiB", limits::WS_MESSAGE_BYTES_MAX / kib),
        format!("a text {} KiB", limits::TEXT_BYTES_MAX / kib),
        format!("a user name {} bytes", limits::USER_NAME_BYTES_MAX),
        format!("a room name {} bytes", limits::ROOM_NAME_BYTES_MAX),
        format!("at most {} rooms", limits::ROOMS_PER_SESSION_MAX),
        format!("at most {} sessions", limits::SESSIONS_PER_USER_MAX),
        format!("{} messages a second (bursts of {})", limits::SENDS_PER_S, limits::SENDS_BURST),
        format!(
            "{} a second in one room (bursts of {})",
            limits::ROOM_SENDS_PER_S,
            limits::ROOM_SENDS_BURST
        ),
        format!("{} frames a second (bursts of {})", limits::FRAMES_PER_S, limits::FRAMES_BURST),
    ] {
        assert!(section.contains(&sentence), "docs/PROTOCOL.md, Limits: wants {sentence:?}");
    }
}

#[test]
fn the_manual_lists_every_built_in_command() {
    let table = ringpost::commands::table();
    let document = read("docs/COMMANDS.md");
    assert!(document.contains(&table), "docs/COMMANDS.md: wants this table:\n\n{table}");
}

#[test]
fn the_manual_lists_every_setting() {
    let document = read("docs/OPERATING.md");
    let table = ringpost::config::settings_table();
    assert!(
        document.contains(&table),
        "docs/OPERATING.md: the table of settings differs from the code\n\
         -> replace it by the output of `ringpost config docs`:\n\n{table}"
    );
}

#[test]
fn the_manual_lists_every_metric() {
    let document = read("docs/OPERATING.md");
    let table = ringpost::admin::metrics_table();
    assert!(document.contains(&table), "docs/OPERATING.md: wants this table:\n\n{table}");
}

#[test]
fn the_whatsapp_page_lists_every_error_of_the_platform() {
    let row = |row: &(u32, &str, graph_error::Action)| {
        vec![row.0.to_string(), row.1.to_owned(), row.2.name().to_owned()]
    };
    let code = graph_error::TABLE.iter().map(row).collect();
    let document = table(&read("docs/WHATSAPP.md"), "## Errors of the platform");
    same(document, code, "make docs/WHATSAPP.md and whatsapp::graph_error::TABLE equal");
}

#[test]
fn the_whatsapp_page_lists_every_type_and_limit() {
    let document = read("docs/WHATSAPP.md");
    let rows = table(&document, "## Messages out");
    let names: Vec<_> = rows.iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    assert_eq!(names, send::Content::TYPES, "-> docs/WHATSAPP.md and whatsapp::send");
    let about = |name: &str| {
        rows.iter().find(|row| row[0].trim_matches('`') == name).expect("a row")[1].clone()
    };
    for (name, sentence) in [
        ("text", format!("`text` ({})", platform::TEXT_CHARS_MAX)),
        ("image", format!("`caption` ({})", platform::CAPTION_CHARS_MAX)),
        ("buttons", format!("`text` ({})", platform::INTERACTIVE_BODY_CHARS_MAX)),
        ("buttons", format!("`buttons` ({})", platform::BUTTONS_MAX)),
        ("buttons", format!("`title` ({})", platform::BUTTON_TITLE_CHARS_MAX)),
        ("buttons", format!("`id` ({})", platform::BUTTON_ID_CHARS_MAX)),
        ("buttons", format!("`footer` ({})", platform::FOOTER_CHARS_MAX)),
        ("list", format!("`text` ({})", platform::LIST_BODY_CHARS_MAX)),
        ("list", format!("`sections` ({})", platform::SECTIONS_MAX)),
        ("list", format!("`rows` ({} in all)", platform::ROWS_MAX)),
        ("list", format!("`id` ({})", platform::ROW_ID_CHARS_MAX)),
        ("list", format!("`description` ({})", platform::ROW_DESCRIPTION_CHARS_MAX)),
    ] {
        assert!(about(name).contains(&sentence), "docs/WHATSAPP.md, {name}: wants {sentence:?}");
    }
}

/// The first columns of a table in the page of handlers, names in backticks.
fn columns(heading: &str, count: usize) -> Vec<Vec<String>> {
    let rows = table(&read("docs/HANDLERS.md"), heading);
    rows.into_iter().map(|row| row[..count].to_vec()).collect()
}

fn quoted(name: &str) -> String {
    format!("`{name}`")
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_page_of_handlers_lists_every_condition_and_event() {
    let advice = "make docs/HANDLERS.md and handlers equal";
    let words = Words::all();
    let events =
        |events: &[&str]| if events.is_empty() { "all".to_owned() } else { listed(events) };
    let row = |(name, of): &(&str, Vec<&str>)| match *name {
        // Said here, since it stands directly in `when`.
        "unanswered_min" => vec![quoted(name), quoted("unanswered")],
        name => vec![quoted(name), events(of)],
    };
    let code = words.conditions.iter().map(row).collect();
    same(columns("## When", 2), code, advice);
    let names = |names: &[&str]| names.iter().map(|name| vec![quoted(name)]).collect();
    let kinds: Vec<&str> = EventKind::NAMED.iter().map(|(name, _)| *name).collect();
    same(columns("### Events", 1), names(&kinds), advice);
    same(columns("### Texts", 1), names(&words.text_tests), advice);
    let document = read("docs/HANDLERS.md");
    assert!(document.contains(&listed(&words.statuses)), "{}", listed(&words.statuses));
    let sources: Vec<String> = Source::ALL.iter().map(|(name, _)| quoted(name)).collect();
    let rows = table(&document, "## When");
    let from = rows.iter().find(|row| row[0] == "`from`").expect("a row");
    assert!(sources.iter().all(|source| from[2].contains(source)), "{from:?}");
}

#[test]
fn the_page_of_handlers_lists_every_action_and_placeholder() {
    let advice = "make docs/HANDLERS.md and handlers equal";
    let words = Words::all();
    let row = |(name, beside): &(&str, Vec<&str>)| vec![quoted(name), listed(beside)];
    same(columns("## Do", 2), words.actions.iter().map(row).collect(), advice);
    let code = words.placeholders.iter().map(|name| vec![quoted(name)]).collect();
    same(columns("### Placeholders", 1), code, advice);
}

#[test]
fn the_page_of_handlers_tells_the_limits() {
    let document = read("docs/HANDLERS.md");
    let document = document.split_whitespace().collect::<Vec<_>>().join(" ");
    for sentence in [
        format!("A definition has at most {} KiB", limits::DEFINITION_BYTES_MAX / limits::KIB),
        format!("compose up to {} deep", limits::HANDLER_CONDITION_DEPTH_MAX),
        format!("at most {} conditions", limits::HANDLER_CONDITIONS_MAX),
        format!("The first {} KiB of a text", limits::HANDLER_TEXT_BYTES_MAX / limits::KIB),
        format!("A handler has at most {} actions", limits::HANDLER_ACTIONS_MAX),
        format!("nest up to {} deep", limits::HANDLER_ACTION_DEPTH_MAX),
        format!(
            "up to {} KiB each, {} of them",
            limits::HANDLER_VALUE_BYTES_MAX / limits::KIB,
            limits::HANDLER_VALUES_MAX
        ),
        format!("`timeout_min` ({},", limits::HANDLER_ASK_TIMEOUT_MIN),
        format!(
            "`timeout_s` ({}, at most {})",
            limits::HANDLER_CALL_TIMEOUT_S,
            limits::HANDLER_CALL_TIMEOUT_S_MAX
        ),
        format!(
            "The first {} KiB of an answer",
            limits::HANDLER_CALL_REPLY_BYTES_MAX / limits::KIB
        ),
        format!(
            "{} firings in {} seconds",
            limits::HANDLER_FIRINGS_DEFAULT,
            limits::HANDLER_WINDOW_S
        ),
        format!("{} days at most", limits::HANDLER_WAIT_MIN_MAX / 24 / 60),
        format!("| {} handlers fire", limits::HANDLER_FIRED_MAX),
        format!("| {} one after another", limits::HANDLER_CHAIN_MAX),
        format!("| {} KiB of text together", limits::HANDLER_SEARCH_BYTES_MAX / limits::KIB),
    ] {
        assert!(document.contains(&sentence), "docs/HANDLERS.md: wants {sentence:?}");
    }
}

/// What is shown of a program is what is tested of it.
#[test]
fn the_page_of_handlers_shows_the_receiver() {
    let document = read("docs/HANDLERS.md");
    let shown = document.split_once("```python\n").expect("a program").1;
    let shown = shown.split_once("```").expect("its end").0;
    assert!(read("docs/examples/call_receiver.py").contains(shown));
}
