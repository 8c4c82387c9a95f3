//! Every call that was made has one end in the log, and it is the one that its caller was told.

use super::caller::Made;
use super::table::Means;
use crate::server::process::{PATIENCE, Server};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What is said to whoever calls while others call too, and how such calls end. Nothing of it is
/// said by the commands themselves.
const CROWDED: [(&str, &[&str]); 8] = [
    (" is off: ", &["failed"]),
    (" is busy with ", &["failed"]),
    ("too many calls of commands", &["failed"]),
    (" does not answer; try again in ", &["failed"]),
    (" did not get its turn in time", &["timeout"]),
    // A queue in which others stood before it.
    (" did not answer in time", &["timeout"]),
    // Its time was over before it came to what it is there for, or it was refused a process.
    (" was stopped: ", &["timeout"]),
    (" failed", &["failed"]),
];

/// The outcomes of all calls in the log, by id.
fn outcomes(server: &Server) -> BTreeMap<String, Vec<String>> {
    let (code, rows) = server.scan(&["export", "--table", "commands"]);
    assert!(code == 0 || code == 1, "the scanner ends with {code}");
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row).expect("a JSON line");
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        all.entry(text("cid")).or_default().push(text("outcome"));
    }
    all
}

/// Holds the log against what the callers know, and gives how many calls ended how. `alone`: nobody
/// was in anybody's way, so that the table holds to the letter.
pub fn audit(server: &Server, made: &[Made], alone: bool) -> BTreeMap<String, usize> {
    // Calls that a kill has cut off are written down soon after the start.
    let begin = Instant::now();
    let mut known = outcomes(server);
    while known.len() < made.len() && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
        known = outcomes(server);
    }
    let (mut faults, mut counts) = (Vec::new(), BTreeMap::new());
    for one in made {
        let (row, told) = (one.row, one.told());
        let ends = known.remove(&one.cid).unwrap_or_default();
        let [end] = ends.as_slice() else {
            faults.push(format!("/{}, {}: {} ends: {ends:?}", row.name, one.cid, ends.len()));
            continue;
        };
        *counts.entry(end.clone()).or_default() += 1;
        // On a busy machine its time may be over before it does what it is there for.
        let slow = row.means == Means::Script && told.contains("it ran for more than");
        let own = match slow {
            true => end == "timeout",
            false => end == row.ends && told.contains(row.told),
        };
        let crowd = CROWDED.iter().find(|(words, _)| told.contains(words));
        let crowded = !alone && crowd.is_some_and(|(_, ends)| ends.contains(&end.as_str()));
        let said = one.heard.iter().filter(|(kind, _)| kind != "progress").count();
        if !own && !crowded {
            let (want, words) = (row.ends, row.told);
            faults.push(format!("/{}: {end}, {told:?}; not {want}, {words:?}", row.name));
        }
        // A later answer may come as often as the address for it holds.
        if said > if row.name == "returns" { 5 } else { 1 } {
            faults.push(format!("/{}: answered {said} times", row.name));
        }
    }
    faults.extend(known.keys().map(|cid| format!("{cid}: nobody made this call")));
    faults.truncate(40);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    counts
}
