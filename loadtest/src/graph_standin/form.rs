//! Uploads: `multipart/form-data` (RFC 7578), as much of it as the Graph API takes.

/// A file and its type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    pub mime: String,
    pub bytes: Vec<u8>,
}

/// The part named `file`, and whether `messaging_product` says `whatsapp`. An error is a sentence.
pub fn read(content_type: &str, body: &[u8]) -> Result<File, &'static str> {
    let boundary = content_type
        .split(';')
        .filter_map(|part| part.trim().strip_prefix("boundary="))
        .map(|boundary| boundary.trim_matches('"'))
        .next()
        .filter(|boundary| !boundary.is_empty())
        .ok_or("no multipart/form-data with a boundary")?;
    let line = format!("--{boundary}");
    let (mut file, mut product) = (None, None);
    let mut rest = &body[find(body, line.as_bytes()).ok_or("the form has no parts")?..];
    loop {
        rest = &rest[line.len()..];
        if rest.starts_with(b"--") {
            break;
        }
        rest = rest.strip_prefix(b"\r\n").ok_or("a boundary without an end of line")?;
        let head_end = find(rest, b"\r\n\r\n").ok_or("a part without a head")?;
        let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
        rest = &rest[head_end + 4..];
        let end = format!("\r\n{line}");
        let size = find(rest, end.as_bytes()).ok_or("a part without an end")?;
        let (content, after) = rest.split_at(size);
        rest = &after[2..];
        match name(&head) {
            Some("file") => {
                let mime = field(&head, "content-type").unwrap_or("application/octet-stream");
                file = Some(File { mime: mime.to_owned(), bytes: content.to_vec() });
            }
            Some("messaging_product") => product = Some(content.to_vec()),
            _ => {}
        }
    }
    if product.as_deref() != Some(b"whatsapp") {
        return Err("messaging_product must be whatsapp");
    }
    file.filter(|file| !file.bytes.is_empty()).ok_or("file is required")
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

fn name(head: &str) -> Option<&str> {
    let parts = field(head, "content-disposition")?.split(';');
    parts.filter_map(|part| part.trim().strip_prefix("name=")).map(|n| n.trim_matches('"')).next()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    // Files have megabytes: look for the first byte before comparing the rest.
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == wanted[0]) {
        if bytes[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}
