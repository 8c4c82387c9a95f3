//! Numbers for eyes: bars, grouped digits, spans of time.

use std::fmt::Write;

/// Eighths of a letter's width, from nothing to seven.
const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A bar of at most `width` letters for a share of 1. What is not nothing shows at least an eighth.
pub(super) fn bar(share: f64, width: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    let mut out = "█".repeat(eighths / 8);
    out.push_str(PARTS[eighths % 8]);
    out
}

/// Digits in groups of three, for a person.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A span as a person says it: two units at most, so that columns stay narrow.
pub(super) fn span(us: u64) -> String {
    let seconds = us / 1_000_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let mut out = String::new();
    let _ = match us {
        0..1_000 => write!(out, "{us} µs"),
        1_000..1_000_000 => write!(out, "{} ms", us / 1_000),
        1_000_000..60_000_000 => write!(out, "{}.{} s", seconds, us / 100_000 % 10),
        60_000_000..3_600_000_000 => write!(out, "{minutes}m {:02}s", seconds % 60),
        3_600_000_000..86_400_000_000 => write!(out, "{hours}h {:02}m", minutes % 60),
        _ => write!(out, "{days}d {:02}h", hours % 24),
    };
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures() {
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(0.3, 4), "█▎");
        assert_eq!(bar(0.000_1, 4), "▏");
        assert_eq!(bar(0.0, 4), "");
        assert_eq!(bar(7.0, 2), "██");
    }

    #[test]
    fn numbers() {
        for (number, want) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345_678, "12,345,678"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(number), want);
        }
        for (us, want) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_500, "1 ms"),
            (4_250_000, "4.2 s"),
            (750_000_000, "12m 30s"),
            (11_100_000_000, "3h 05m"),
            (187_200_000_000, "2d 04h"),
        ] {
            assert_eq!(span(us), want);
        }
    }
}
