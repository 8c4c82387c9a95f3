//! The last steps of the run on this thread, for the report of a failure.

use std::cell::RefCell;
use std::collections::VecDeque;

/// Lines kept.
const LINES_MAX: usize = 40;
/// Bytes of one line shown.
const LINE_BYTES_MAX: usize = 220;

thread_local! {
    static TRACE: RefCell<Trace> = RefCell::new(Trace::default());
}

#[derive(Default)]
struct Trace {
    step: u64,
    lines: VecDeque<String>,
}

/// A new run begins.
pub fn begin() {
    TRACE.with_borrow_mut(|trace| *trace = Trace::default());
}

/// The next step begins.
pub fn step(step: u64) {
    TRACE.with_borrow_mut(|trace| trace.step = step);
}

/// Something happened.
pub fn note(line: String) {
    TRACE.with_borrow_mut(|trace| {
        if trace.lines.len() == LINES_MAX {
            trace.lines.pop_front();
        }
        let mut line = line;
        if line.len() > LINE_BYTES_MAX {
            let mut end = LINE_BYTES_MAX;
            while !line.is_char_boundary(end) {
                end -= 1;
            }
            line.truncate(end);
            line.push('…');
        }
        let line = format!("{:5} {line}", trace.step);
        trace.lines.push_back(line);
    });
}

/// The step that was running, and what led to it.
pub fn report() -> (u64, String) {
    TRACE.with_borrow(|trace| {
        let lines: Vec<&str> = trace.lines.iter().map(String::as_str).collect();
        (trace.step, lines.join("\n"))
    })
}
