//! Files: their kinds, where their bytes are, and what may be uploaded.

use super::fields::Fields;
use super::refused::{Problem, Refused};
use super::{Content, Media};
use crate::whatsapp::limits::{
    CAPTION_CHARS_MAX, FILENAME_CHARS_MAX, ID_CHARS_MAX, LINK_CHARS_MAX, MEDIA_BYTES_MAX,
};

/// The kinds of messages that carry a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the words of the Graph API")]
pub enum MediaKind {
    Image,
    Audio,
    Video,
    Document,
    Sticker,
}

/// Where the bytes of a file are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MediaSource {
    /// Uploaded before; the platform keeps it for 30 days.
    Id(String),
    /// On the web; the platform fetches it and caches it for ten minutes.
    Link(String),
}

/// Of each kind: its name, the largest file in bytes, and the MIME types that the platform takes;
/// none means any.
pub const MEDIA_KINDS: [(MediaKind, &str, u64, &[&str]); 5] = [
    (MediaKind::Image, "image", 5_000_000, &["image/jpeg", "image/png"]),
    (
        MediaKind::Audio,
        "audio",
        16_000_000,
        &["audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"],
    ),
    (MediaKind::Video, "video", 16_000_000, &["video/mp4", "video/3gpp"]),
    (MediaKind::Document, "document", MEDIA_BYTES_MAX, &[]),
    (MediaKind::Sticker, "sticker", 500_000, &["image/webp"]),
];

impl MediaKind {
    /// As the Graph API calls it.
    pub fn name(self) -> &'static str {
        MEDIA_KINDS[self as usize].1
    }

    /// What a file of this type is sent as.
    pub fn of_mime(mime: &str) -> Self {
        let essence = mime.split(';').next().unwrap_or("").trim();
        match essence.split_once('/') {
            Some(("image", "webp")) => Self::Sticker,
            Some(("image", _)) => Self::Image,
            Some(("audio", _)) => Self::Audio,
            Some(("video", _)) => Self::Video,
            _ => Self::Document,
        }
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        MEDIA_KINDS.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

/// Whether a file may be uploaded, to be sent as `kind`.
pub fn check_upload(kind: MediaKind, mime: &str, bytes: u64) -> Result<(), Refused> {
    let (_, _, bytes_max, mimes) = MEDIA_KINDS[kind as usize];
    let essence = mime.split(';').next().unwrap_or("").trim();
    let whole = essence.split_once('/').is_some_and(|(kind, form)| {
        let token = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        };
        token(kind) && token(form)
    });
    if !whole || !(mimes.is_empty() || mimes.contains(&essence)) {
        return Err(Refused::form("mime", "a type that the platform takes for this kind", mime));
    }
    if bytes == 0 {
        return Err(Refused::new("file", Problem::Empty));
    }
    if bytes > bytes_max {
        let wants = match kind {
            MediaKind::Image => "at most 5 MB",
            MediaKind::Audio | MediaKind::Video => "at most 16 MB",
            MediaKind::Document => "at most 100 MB",
            MediaKind::Sticker => "at most 500 KB",
        };
        return Err(Refused::form("file", wants, &format!("{bytes} bytes")));
    }
    Ok(())
}

/// `{"id":…}` or `{"link":…}`, exactly one of them.
pub(super) fn source(fields: &Fields<'_>) -> Result<MediaSource, Refused> {
    match (fields.text("id", ID_CHARS_MAX)?, fields.link("link", LINK_CHARS_MAX)?) {
        (Some(id), None) => Ok(MediaSource::Id(id)),
        (None, Some(link)) => Ok(MediaSource::Link(link)),
        _ => Err(fields.refuse("id", Problem::OneOf(&["id", "link"]))),
    }
}

pub(super) fn parse(kind: MediaKind, fields: &Fields<'_>) -> Result<Content, Refused> {
    fields.only(match kind {
        MediaKind::Image | MediaKind::Video => &["type", "id", "link", "caption"],
        MediaKind::Document => &["type", "id", "link", "caption", "filename"],
        MediaKind::Audio => &["type", "id", "link", "voice"],
        MediaKind::Sticker => &["type", "id", "link"],
    })?;
    Ok(Content::Media(Media {
        kind,
        source: source(fields)?,
        caption: fields.text("caption", CAPTION_CHARS_MAX)?,
        filename: fields.text("filename", FILENAME_CHARS_MAX)?,
        voice: fields.flag("voice")?,
    }))
}
