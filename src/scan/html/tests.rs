//! The page over logs made by hand: whole, escaped, and the same numbers as the reports.

use crate::log::scratch::Scratch;
use crate::scan::tests::{evening, scan};

#[test]
fn a_page_is_one_file_and_escapes_strangers() {
    let scratch = Scratch::new("html");
    evening(&scratch);
    let path = scratch.path().join("page.html");
    let line = format!("report --title <b>&co --html {}", path.display());
    let (status, out, words) = scan(&scratch, &line);
    assert_eq!((status, out.as_str()), (0, ""), "{words}");
    assert!(words.starts_with("wrote "), "{words}");
    let page = std::fs::read_to_string(&path).unwrap();
    for want in ["<title>&lt;b&gt;&amp;co</title>", "Sun 22 Nov 2026", "lobby", "wa:49", "dice"] {
        assert!(page.contains(want), "{want}: {page}");
    }
    for never in ["<script", "http://", "https://", "NaN", "inf%", "url(", "@import", "\u{202e}"] {
        assert!(!page.contains(never), "{never}");
    }
    for tag in ["section", "div", "table", "svg", "g", "p", "span", "ul", "dl", "tr", "td"] {
        let count = |text: &str| page.matches(text).count();
        let open = count(&format!("<{tag} ")) + count(&format!("<{tag}>"));
        assert_eq!(open, count(&format!("</{tag}>")), "{tag}");
    }
    assert_eq!(
        page.matches("<svg role=\"img\" aria-label=\"").count(),
        page.matches("role=").count()
    );
}

#[test]
fn no_messages_is_a_page_too() {
    let scratch = Scratch::new("html-none");
    evening(&scratch);
    let (status, out, words) = scan(&scratch, "report --html - --room nowhere");
    assert_eq!((status, words.as_str()), (1, "nothing found\n"));
    assert!(out.contains("No messages") && out.contains("only room nowhere"), "{out}");
    let (status, _, words) = scan(&scratch, "report --html /nowhere/page.html");
    assert_eq!((status, words.contains("cannot write /nowhere/page.html")), (2, true));
    let (status, out, _) = scan(&scratch, "report --html - --since 2026-11-22 --user bob");
    assert_eq!((status, out.contains("only user bob")), (0, true));
}
