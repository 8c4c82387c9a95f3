//! Health and the other endpoints for operators.

mod metrics;

pub use metrics::{HandlerReading, Reading, SubscriptionReading, metrics_page, metrics_table};

/// Status and body of `/healthz`: `ok`, or `degraded` with a line for each thing that is not as it
/// should be, which is no reason to restart the server; 503 when only a restart helps.
pub fn health(is_healthy: bool, remarks: &[String]) -> (u16, String) {
    let (status, word) = match (is_healthy, remarks) {
        (false, _) => (503, "dead"),
        (true, []) => (200, "ok"),
        (true, _) => (200, "degraded"),
    };
    let mut text = format!("{word}\n");
    for remark in remarks {
        text.push_str(remark);
        text.push('\n');
    }
    (status, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_wrong() {
        let full = ["log: full".to_owned()];
        let cases: &[(bool, &[String], u16, &str)] = &[
            (true, &[], 200, "ok\n"),
            (true, &full, 200, "degraded\nlog: full\n"),
            (false, &[], 503, "dead\n"),
            (false, &full, 503, "dead\nlog: full\n"),
        ];
        for (is_healthy, remarks, status, text) in cases {
            assert_eq!(health(*is_healthy, remarks), (*status, (*text).to_owned()));
        }
    }
}
