use super::*;
use std::collections::HashSet;

fn text(path: &str) -> &'static str {
    std::str::from_utf8(asset(path).expect(path).body).expect("assets are UTF-8")
}

#[test]
fn every_asset_has_a_body_a_type_and_a_tag_of_its_own() {
    let mut tags = HashSet::new();
    for (path, asset) in ASSETS {
        assert!(path.starts_with('/'), "{path}");
        assert!(asset.body.len() > 100, "{path}");
        assert!(asset.body.ends_with(b"\n"), "{path}");
        assert!(tags.insert(asset.etag), "{path}");
        assert_eq!(asset.etag.len(), 18, "{path}");
        let want = match path.rsplit_once('.') {
            None => "text/html; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            Some((_, "ts")) => "application/typescript; charset=utf-8",
            Some((_, other)) => panic!("no type for .{other}"),
        };
        assert_eq!(asset.content_type, want, "{path}");
    }
}

#[test]
fn a_tag_follows_the_published_hash() {
    // FNV-1a test vectors: the empty string and "foobar".
    assert_eq!(&etag(b""), b"\"cbf29ce484222325\"");
    assert_eq!(&etag(b"foobar"), b"\"85944171f73967e8\"");
}

#[test]
fn paths_are_exact() {
    for path in ["", "/console", "/index.html", "//", "/../mod.rs", "/CONSOLE.JS", "/console.js/"] {
        assert_eq!(asset(path), None, "{path}");
    }
}

#[test]
fn the_page_obeys_its_own_policy() {
    let page = text("/");
    assert_eq!(
        page.matches("<script").count(),
        page.matches("<script type=\"module\" src=").count()
    );
    assert!(!page.contains("<style"));
    for banned in [" style=", " onclick=", " onload=", "javascript:", "http:", "https:"] {
        assert!(!page.contains(banned), "{banned}");
    }
    for (path, _) in ASSETS.iter().filter(|(_, asset)| asset.content_type == SCRIPT) {
        for banned in ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "document.write"] {
            assert!(!text(path).contains(banned), "{path}: {banned}");
        }
    }
    for (path, _) in ASSETS.iter().filter(|(_, asset)| asset.content_type == STYLE) {
        assert!(!text(path).contains("url("), "{path}");
    }
    assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
    assert!(!CONTENT_SECURITY_POLICY.contains("  "));
}

#[test]
fn references_resolve() {
    check("/", &["href=\"", "src=\""]);
    for (path, asset) in ASSETS {
        if asset.content_type == SCRIPT {
            check(path, &["from './", "import('./"]);
        }
    }
}

/// Every reference that follows one of the marks names an asset or a place in the same page.
#[track_caller]
fn check(path: &str, marks: &[&str]) {
    let text = text(path);
    for mark in marks {
        for rest in text.split(mark).skip(1) {
            let target = rest.split(['"', '\'']).next().expect("split yields one");
            match target.strip_prefix('#') {
                Some(id) => assert!(text.contains(&format!("id=\"{id}\"")), "{path}: #{id}"),
                None => assert!(asset(&format!("/{target}")).is_some(), "{path}: {target}"),
            }
        }
    }
}

#[test]
fn the_client_offers_the_protocol_of_the_document() {
    let protocol = "ringpost.v1.json";
    assert!(text("/ringpost.js").contains(&format!("PROTOCOL = '{protocol}'")));
    assert!(include_str!("../../docs/PROTOCOL.md").contains(protocol));
}
