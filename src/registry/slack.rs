//! What senders to Slack's incoming webhooks write: `text`, `attachments`, and Slack's own marks in
//! both (<https://api.slack.com/messaging/webhooks>, "Formatting text for app surfaces").

use serde_json::Value;

/// The words of a message; `None` when it has none.
pub fn text(body: &Value) -> Option<String> {
    let mut lines: Vec<String> = Vec::new();
    lines.extend(body["text"].as_str().map(plain));
    for attachment in body["attachments"].as_array().into_iter().flatten() {
        let field = |name: &str| attachment[name].as_str().filter(|text| !text.is_empty());
        let told = [field("pretext"), field("title"), field("text")];
        let told: Vec<&str> = told.into_iter().flatten().collect();
        match told.is_empty() {
            true => lines.extend(field("fallback").map(plain)),
            false => lines.extend(told.into_iter().map(plain)),
        }
    }
    lines.retain(|line| !line.trim().is_empty());
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Without Slack's marks: `<url|words>` is `words (url)`, `<url>` is `url`, `<!here>` is `@here`,
/// and its three escapes are what they stand for.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('<') {
        let Some((mark, after)) = behind.split_once('>') else { break };
        out.push_str(before);
        match (mark.strip_prefix('!'), mark.split_once('|')) {
            (Some(command), _) => {
                out.push('@');
                out.push_str(command.split('|').next().unwrap_or(command));
            }
            (None, Some((url, words))) => {
                out.push_str(words);
                out.push_str(" (");
                out.push_str(url);
                out.push(')');
            }
            (None, None) => out.push_str(mark),
        }
        rest = after;
    }
    out.push_str(rest);
    // The last one last: `&amp;lt;` stands for `&lt;`.
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn marks_are_written_out() {
        for (text, want) in [
            ("plain", "plain"),
            ("<https://a.example|deploy 7> is <!here>", "deploy 7 (https://a.example) is @here"),
            ("see <https://a.example>", "see https://a.example"),
            ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
            ("&amp;lt;", "&lt;"),
            ("a < b", "a < b"),
        ] {
            assert_eq!(plain(text), want);
        }
    }

    #[test]
    fn attachments_are_told_below_the_text() {
        let body = json!({"text": "Alert", "attachments": [
            {"title": "CPU", "text": "97 %", "fallback": "CPU 97 %"}, {"fallback": "disk"}, {}]});
        assert_eq!(text(&body).as_deref(), Some("Alert\nCPU\n97 %\ndisk"));
        for nothing in [json!({}), json!({"text": " "}), json!([]), json!({"text": 7})] {
            assert_eq!(text(&nothing), None, "{nothing}");
        }
    }
}
