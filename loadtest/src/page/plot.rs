//! Plots as SVG that takes its colours from the page. Pure.

use crate::latency::{Latency, human};
use std::fmt::Write;

/// The size of a plot with its labels, and of the part that is plotted.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 884.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 288.0;
/// Colours of the page: more lines than that begin again.
pub const COLOURS: usize = 8;

/// One line of a plot; it may have several pieces.
pub struct Line {
    /// Which colour.
    pub colour: usize,
    /// Shown when pointed at.
    pub label: String,
    /// Pieces of (x, y).
    pub pieces: Vec<Vec<(f64, f64)>>,
}

/// What the axes show.
struct Frame {
    x_max: f64,
    y_min: f64,
    y_max: f64,
    x_ticks: Vec<(f64, String)>,
    y_ticks: Vec<(f64, String)>,
    x_title: &'static str,
}

impl Frame {
    fn x(&self, x: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (x / self.x_max).clamp(0.0, 1.0)
    }

    fn y(&self, y: f64) -> f64 {
        let part = (y - self.y_min) / (self.y_max - self.y_min);
        BOTTOM - (BOTTOM - TOP) * part.clamp(0.0, 1.0)
    }

    fn draw(&self, title: &str, lines: &[Line]) -> String {
        let mut svg =
            format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n");
        let mut put = |text: String| svg.push_str(&text);
        for (value, label) in &self.y_ticks {
            let y = self.y(*value);
            put(format!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>"));
            let (x, y) = (LEFT - 8.0, y + 4.0);
            put(format!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{label}</text>\n"));
        }
        for (value, label) in &self.x_ticks {
            let (x, y) = (self.x(*value), BOTTOM + 18.0);
            put(format!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{BOTTOM}\"/>"));
            put(format!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{label}</text>\n"));
        }
        let (x, y) = (f64::midpoint(LEFT, RIGHT), HEIGHT - 6.0);
        put(format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>\n", self.x_title));
        for line in lines {
            let mut path = String::new();
            for piece in &line.pieces {
                for (index, (x, y)) in piece.iter().enumerate() {
                    let letter = if index == 0 { 'M' } else { 'L' };
                    let (x, y) = (self.x(*x), self.y(*y));
                    write!(path, "{letter}{x:.1} {y:.1}").expect("memory takes it");
                }
            }
            let (colour, label) = (line.colour % COLOURS, &line.label);
            put(format!(
                "<path class=\"line\" stroke=\"var(--c{colour})\" d=\"{path}\">\
                 <title>{label}</title></path>\n"
            ));
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Latency by percentile: how rare on x, so that each nine has the same width; time on y, also
/// logarithmic.
pub fn percentiles(latencies: &[(usize, String, &Latency)]) -> String {
    let measured = || latencies.iter().filter(|(_, _, latency)| !latency.histogram.is_empty());
    let rarity = |fraction: f64| -(1.0 - fraction).log10();
    let count_max = measured().map(|(_, _, l)| l.histogram.len()).max().unwrap_or(1);
    let x_max = (count_max as f64).log10().max(1.0);
    let lines: Vec<Line> = measured()
        .map(|(colour, label, latency)| {
            let end = (latency.histogram.len() as f64).log10();
            let steps = latency.histogram.iter_quantiles(10);
            let points = steps.map(|step| {
                let value = step.value_iterated_to().max(1) as f64;
                (rarity(step.quantile_iterated_to()).min(end), value.log10())
            });
            Line { colour: *colour, label: label.clone(), pieces: vec![points.collect()] }
        })
        .collect();
    let heights = || lines.iter().flat_map(|line| line.pieces[0].iter().map(|(_, y)| *y));
    let y_min = heights().fold(f64::INFINITY, f64::min).floor().clamp(0.0, 12.0);
    let y_max = heights().fold(0.0, f64::max).ceil().max(y_min + 1.0);
    let nines = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999_999, 0.999_999_9];
    let names =
        ["0", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "6 nines", "7 nines"];
    let x_ticks = nines.iter().zip(names).map(|(fraction, name)| (rarity(*fraction), name.into()));
    let mut y_ticks = Vec::new();
    for decade in y_min as i32..=y_max as i32 {
        let ns = 10_u64.pow(decade.unsigned_abs());
        y_ticks.push((f64::from(decade), human(ns).replace(".00", "").replace(".0 ", " ")));
    }
    let frame = Frame {
        x_max,
        y_min,
        y_max,
        x_ticks: x_ticks.filter(|(x, _)| *x <= x_max).collect(),
        y_ticks,
        x_title: "percentile",
    };
    frame.draw("latency by percentile", &lines)
}

/// Messages a second over the measured time.
pub fn throughput(lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| line.pieces.iter().flatten());
    let x_max = points().map(|(x, _)| *x).fold(0.001, f64::max);
    let top = points().map(|(_, y)| *y).fold(1.0, f64::max);
    let (x_step, y_step) = (step(x_max), step(top));
    let y_max = (top / y_step).ceil() * y_step;
    let ticks = |step: f64, end: f64| (0..=(end / step) as u32).map(move |n| f64::from(n) * step);
    let frame = Frame {
        x_max,
        y_min: 0.0,
        y_max,
        x_ticks: ticks(x_step, x_max).map(|x| (x, round(x))).collect(),
        y_ticks: ticks(y_step, y_max * 1.001).map(|y| (y, round(y))).collect(),
        x_title: "seconds measured",
    };
    frame.draw("received messages a second", lines)
}

/// Steps of 1, 2 or 5 times a power of ten, about five to the whole.
fn step(whole: f64) -> f64 {
    let power = 10_f64.powf((whole / 5.0).log10().floor());
    let fits = [1.0, 2.0, 5.0].into_iter().find(|times| whole / (times * power) <= 7.0);
    power * fits.unwrap_or(10.0)
}

/// A number of an axis: 250, 1.5 k, 3 M.
fn round(value: f64) -> String {
    let (scaled, unit) = match value {
        1e6.. => (value / 1e6, " M"),
        1e3.. => (value / 1e3, " k"),
        _ => (value, ""),
    };
    format!("{}{unit}", (scaled * 1e3).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes() {
        for (whole, want) in [(10.0, 2.0), (1.0, 0.2), (7.0, 1.0), (0.3, 0.05), (4.2e6, 1e6)] {
            let got = step(whole);
            assert!((got / want - 1.0).abs() < 1e-9, "{whole}: {got}");
        }
        for (value, want) in [(0.0, "0"), (250.0, "250"), (1_500.0, "1.5 k"), (3e6, "3 M")] {
            assert_eq!(round(value), want);
        }
    }

    #[test]
    fn curves_end_where_the_rarest_is() {
        let mut latency = Latency::new("echo", "from send to reply");
        for ns in 1..=1_000 {
            latency.record(ns * 999);
        }
        let svg = percentiles(&[(0, "echo".into(), &latency)]);
        assert!(svg.contains(">99.9 %<") && !svg.contains(">99.99 %<"), "{svg}");
        assert!(svg.contains(">1 µs<") && svg.contains(">1 ms<"), "{svg}");
        assert!(svg.contains(&format!("L{RIGHT:.1} {TOP:.1}")), "the slowest in the corner: {svg}");
    }

    #[test]
    fn nothing_measured_is_an_empty_plot() {
        let latency = Latency::new("echo", "from send to reply");
        assert!(!percentiles(&[(0, "echo".into(), &latency)]).contains("class=\"line\""));
        assert!(throughput(&[]).contains("</svg>"));
    }
}
