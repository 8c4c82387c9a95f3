//! Charts as SVG that stretches with the page; their labels are HTML, so that letters keep their
//! size on a telephone.

use crate::scan::escape::html;
use crate::scan::spark;
use std::fmt::Write;

/// Units of a chart's own coordinates: x from 0 to [`WIDTH`], y from 0 (top) to [`HEIGHT`].
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 100.0;
/// Bars that have room for gaps between them, on a telephone too.
const GAPPED_BARS_MAX: usize = 100;
/// How numbers of an axis are said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Count,
    /// Microseconds.
    Span,
}

impl Unit {
    pub(super) fn say(self, value: u64) -> String {
        match self {
            Self::Count => spark::grouped(value),
            Self::Span => spark::span(value),
        }
    }

    /// As [`Unit::say`], without zeros of smaller units: there is little room beside an axis.
    fn tick(self, value: u64) -> String {
        if value == 0 {
            return "0".to_owned();
        }
        let say = self.say(value).replace(".0 s", " s");
        let bare = [" 00s", " 00m", " 00h"].iter().find_map(|zeros| say.strip_suffix(zeros));
        bare.map(str::to_owned).unwrap_or(say)
    }

    /// A round number that is not below `max`.
    fn round(self, max: u64) -> u64 {
        const SPANS_S: [u64; 20] = [
            1, 2, 4, 10, 20, 40, 60, 120, 240, 600, 1_200, 2_400, 3_600, 7_200, 14_400, 28_800,
            43_200, 86_400, 172_800, 345_600,
        ];
        let rounded = SPANS_S.iter().map(|seconds| seconds * 1_000_000).find(|us| *us >= max);
        match (self, rounded) {
            (Self::Span, Some(us)) if max > 1_000_000 => us,
            _ => round_count(max),
        }
    }
}

/// 1, 2, 4 or 5 with zeros behind; at least 4, so that a half and a quarter are whole.
fn round_count(max: u64) -> u64 {
    let mut step = 1_u64;
    loop {
        for digit in [4, 8, 10, 20] {
            let round = step.saturating_mul(digit);
            if round >= max || round == u64::MAX {
                return round;
            }
        }
        step = step.saturating_mul(10);
    }
}

/// A row of values by time or hour.
pub(super) struct Series<'a> {
    pub(super) name: &'a str,
    /// A colour of the style sheet.
    pub(super) colour: &'a str,
    /// `None` is a gap.
    pub(super) values: Vec<Option<u64>>,
}

/// What a chart is about.
pub(super) struct Frame<'a> {
    /// Said in place of the picture to those who do not see it.
    pub(super) alt: String,
    pub(super) labels: &'a [String],
    pub(super) unit: Unit,
    /// Labels below it at most; on a telephone every second one is left out.
    pub(super) labels_max: usize,
}

/// Bars, several series on top of each other.
pub(super) fn bars(frame: &Frame<'_>, series: &[Series<'_>]) -> String {
    let count = frame.labels.len();
    let value = |series: &Series<'_>, index: usize| series.values[index].unwrap_or(0);
    let sums = (0..count).map(|index| series.iter().map(|one| value(one, index)).sum());
    let top = frame.unit.round(sums.max().unwrap_or(0));
    let slot = WIDTH / count.max(1) as f64;
    // Gaps of less than a pixel would make a pattern that is not in the numbers.
    let gap = if count > GAPPED_BARS_MAX { 0.0 } else { 0.12 };
    let mut shapes = String::new();
    for index in 0..count {
        let mut base = HEIGHT;
        let parts: Vec<_> = series
            .iter()
            .map(|one| match one.name {
                "" => frame.unit.say(value(one, index)),
                name => format!("{} {name}", frame.unit.say(value(one, index))),
            })
            .collect();
        let title = html(&format!("{}: {}", frame.labels[index], parts.join(", ")));
        let _ = write!(shapes, "<g><title>{title}</title>");
        let left = slot * index as f64;
        // The whole height answers the pointer, not only the bar.
        let _ = write!(
            shapes,
            "<rect class=\"touch\" x=\"{left:.2}\" y=\"0\" width=\"{slot:.2}\" \
             height=\"{HEIGHT}\"/>"
        );
        for one in series {
            let height = value(one, index) as f64 / top as f64 * HEIGHT;
            base -= height;
            let (x, width) = (left + slot * gap, slot * (1.0 - 2.0 * gap));
            let _ = write!(
                shapes,
                "<rect fill=\"var(--{})\" x=\"{x:.2}\" y=\"{base:.2}\" width=\"{width:.2}\" \
                 height=\"{height:.2}\"/>",
                one.colour
            );
        }
        shapes.push_str("</g>");
    }
    plot(frame, top, &shapes, true)
}

/// Lines over the same labels.
pub(super) fn lines(frame: &Frame<'_>, series: &[Series<'_>]) -> String {
    let count = frame.labels.len();
    let values = series.iter().flat_map(|one| one.values.iter().flatten().copied());
    let top = frame.unit.round(values.max().unwrap_or(0));
    let x = |index: usize| match count {
        0 | 1 => WIDTH / 2.0,
        _ => WIDTH * index as f64 / (count - 1) as f64,
    };
    let y = |value: u64| HEIGHT - value as f64 / top as f64 * HEIGHT;
    let mut shapes = String::new();
    for one in series {
        let mut path = String::new();
        for (index, value) in one.values.iter().enumerate() {
            let Some(value) = *value else { continue };
            let joined = index > 0 && one.values[index - 1].is_some();
            let verb = if joined { 'L' } else { 'M' };
            let _ = write!(path, "{verb}{:.2} {:.2}", x(index), y(value));
            // A point without neighbours would be no line.
            if !joined && one.values.get(index + 1).is_none_or(Option::is_none) {
                path.push_str("h3");
            }
        }
        let _ =
            write!(shapes, "<path class=\"line\" stroke=\"var(--{})\" d=\"{path}\"/>", one.colour);
    }
    let slot = WIDTH / count.max(1) as f64;
    for (index, label) in frame.labels.iter().enumerate() {
        let say = |one: &Series<'_>| {
            one.values[index].map(|value| format!("{} {}", one.name, frame.unit.say(value)))
        };
        let parts: Vec<_> = series.iter().filter_map(say).collect();
        let title = html(&format!("{label}: {}", parts.join(", ")));
        let left = (x(index) - slot / 2.0).max(0.0);
        let _ = write!(
            shapes,
            "<rect class=\"touch\" x=\"{left:.2}\" y=\"0\" width=\"{slot:.2}\" \
             height=\"{HEIGHT}\"><title>{title}</title></rect>"
        );
    }
    plot(frame, top, &shapes, false)
}

/// The shapes between their axes. Bars stand in the middle of their slots, points at the edges.
fn plot(frame: &Frame<'_>, top: u64, shapes: &str, slots: bool) -> String {
    let ticks = [4_u64, 2, 0].map(|quarter| {
        let value = (u128::from(top) * u128::from(quarter) / 4) as u64;
        (quarter * 25, frame.unit.tick(value))
    });
    let letters = ticks.iter().map(|(_, say)| say.chars().count()).max().unwrap_or(0);
    let mut out = format!(
        "<div class=\"chart\"><div class=\"y\" aria-hidden=\"true\" \
         style=\"min-width:{letters}ch\">"
    );
    for (percent, say) in ticks {
        let _ = write!(out, "<span style=\"bottom:{percent}%\">{say}</span>");
    }
    let alt = html(&frame.alt);
    let _ = write!(
        out,
        "</div><svg role=\"img\" aria-label=\"{alt}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         preserveAspectRatio=\"none\">"
    );
    for y in [0, 50, 100] {
        let _ = write!(out, "<path class=\"grid\" d=\"M0 {y}H{WIDTH}\"/>");
    }
    out.push_str(shapes);
    out.push_str("</svg><div class=\"x\" aria-hidden=\"true\">");
    let count = frame.labels.len();
    let every = count.div_ceil(frame.labels_max).max(1);
    for (shown, index) in (0..count).step_by(every).enumerate() {
        let at = match (slots, count) {
            (true, _) => (index as f64 + 0.5) / count as f64,
            (false, 1) => 0.5,
            (false, _) => index as f64 / (count - 1) as f64,
        };
        let minor = if shown % 2 == 1 { " class=\"minor\"" } else { "" };
        let label = html(&frame.labels[index]);
        let _ = write!(out, "<span{minor} style=\"left:{:.2}%\">{label}</span>", at * 100.0);
    }
    out.push_str("</div></div>");
    out
}

/// A line without axes, for a headline.
pub(super) fn spark_line(values: &[u64]) -> String {
    let top = values.iter().copied().max().unwrap_or(0).max(1);
    if values.len() < 2 {
        return String::new();
    }
    let last = (values.len() - 1) as f64;
    let mut path = String::new();
    for (index, value) in values.iter().enumerate() {
        let verb = if index == 0 { 'M' } else { 'L' };
        let y = 28.0 - *value as f64 / top as f64 * 26.0;
        let _ = write!(path, "{verb}{:.1} {y:.1}", index as f64 / last * 120.0);
    }
    format!(
        "<svg class=\"spark\" aria-hidden=\"true\" viewBox=\"0 0 120 30\" \
         preserveAspectRatio=\"none\"><path class=\"line\" stroke=\"var(--blue)\" d=\"{path}\"/>\
         </svg>"
    )
}

/// Weekdays by hours, darker for more.
pub(super) fn heat_map(counts: &[u64; 168], alt: &str) -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let mut out = String::from(
        "<div class=\"chart heat\"><div class=\"y\" aria-hidden=\"true\" \
         style=\"min-width:4ch\">",
    );
    for (day, name) in DAYS.iter().enumerate() {
        let bottom = (6.5 - day as f64) / 7.0 * 100.0;
        let _ = write!(out, "<span style=\"bottom:{bottom:.2}%\">{name}</span>");
    }
    let _ = write!(
        out,
        "</div><svg role=\"img\" aria-label=\"{}\" viewBox=\"0 0 240 70\" \
         preserveAspectRatio=\"none\">",
        html(alt)
    );
    for (index, count) in counts.iter().enumerate() {
        let (day, hour) = (index / 24, index % 24);
        let shade = match count {
            0 => 0.04,
            _ => 0.12 + 0.88 * (*count as f64 / most as f64),
        };
        let _ = write!(
            out,
            "<rect fill=\"var(--blue)\" fill-opacity=\"{shade:.2}\" x=\"{}\" y=\"{}\" \
             width=\"9.4\" height=\"9.2\"><title>{} {hour:02}:00: {} messages</title></rect>",
            hour * 10,
            day * 10,
            DAYS[day],
            spark::grouped(*count)
        );
    }
    out.push_str("</svg><div class=\"x\" aria-hidden=\"true\">");
    for hour in (0..24).step_by(3) {
        let minor = if hour % 6 == 3 { " class=\"minor\"" } else { "" };
        let left = (hour as f64 + 0.5) / 24.0 * 100.0;
        let _ = write!(out, "<span{minor} style=\"left:{left:.2}%\">{hour:02}:00</span>");
    }
    out.push_str("</div></div>");
    out
}

/// The names of the colours of a chart.
pub(super) fn legend(entries: &[(&str, &str)]) -> String {
    let mut out = String::from("<p class=\"legend\">");
    for (name, colour) in entries {
        let name = html(name);
        let _ = write!(out, "<span><i style=\"background:var(--{colour})\"></i>{name}</span>");
    }
    out.push_str("</p>");
    out
}

/// A bar in a table cell: as long as its share of the longest.
pub(super) fn table_bar(share: f64, colour: &str) -> String {
    let width = (share.clamp(0.0, 1.0) * 100.0).max(if share > 0.0 { 0.6 } else { 0.0 });
    format!(
        "<svg class=\"bar\" aria-hidden=\"true\" viewBox=\"0 0 100 10\" \
         preserveAspectRatio=\"none\"><rect class=\"track\" width=\"100\" height=\"10\"/>\
         <rect fill=\"var(--{colour})\" width=\"{width:.2}\" height=\"10\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (max, want) in [(0, 4), (4, 4), (5, 8), (9, 10), (11, 20), (21, 40), (4_001, 8_000)] {
            assert_eq!(Unit::Count.round(max), want, "{max}");
        }
        assert_eq!(Unit::Span.round(61_000_000), 120_000_000);
        assert_eq!(Unit::Span.round(700), 800);
        assert_eq!(Unit::Span.tick(43_200_000_000), "12h");
        assert_eq!(Unit::Span.tick(5_400_000_000), "1h 30m");
        assert_eq!(Unit::Span.tick(2_000_000), "2 s");
        assert!(Unit::Span.round(u64::MAX) > 1 << 62);
    }

    #[test]
    fn charts_of_nothing_and_of_one() {
        let frame =
            Frame { alt: "<alt>".to_owned(), labels: &[], unit: Unit::Count, labels_max: 8 };
        assert!(bars(&frame, &[]).contains("&lt;alt&gt;"));
        assert!(lines(&frame, &[]).contains("</svg>"));
        let labels = ["one".to_owned()];
        let frame = Frame { alt: String::new(), labels: &labels, unit: Unit::Span, labels_max: 8 };
        let one = || Series { name: "a", colour: "blue", values: vec![Some(u64::MAX)] };
        assert!(!bars(&frame, &[one()]).contains("NaN"));
        assert!(lines(&frame, &[one()]).contains("h3"));
        assert!(!spark_line(&[0]).contains("NaN") && !spark_line(&[]).contains("NaN"));
    }
}
