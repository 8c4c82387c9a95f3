//! Messages to the platform: what may be sent, and the JSON that asks the Graph API to send it.
//!
//! ```text
//! {"type":"buttons",…}  ─▶ Content::parse ─▶ Content ┐
//! who, about what, by which number ──────────────────┴▶ Message::render ─▶ body of POST /messages
//! ```
//!
//! What people, bots and handlers write is `{"type": …}` with plain names (`docs/WHATSAPP.md`,
//! "Messages out"); everything that the platform would refuse for its form is refused here, by the
//! name of the field, the bound and what was given. What remains to be refused depends on the
//! platform's state: see [`super::graph_error`].
//!
//! **Never:** which shard, lane or room; ids of our own rooms and offsets are translated before.

mod contacts;

mod fields;

mod interactive;

mod media;
pub use media::{MEDIA_KINDS, MediaKind, MediaSource, check_upload};

mod parse;

mod recipient;
pub use recipient::Recipient;

mod refused;
pub use refused::{Problem, Refused};

mod render;

mod template;

use serde_json::Value;
use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// What a message says. Made by [`Content::parse`], so its bounds hold.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// Plain text; the first link in it is shown with a preview if asked for.
    Text {
        /// What it says.
        body: String,
        /// Whether to show a preview.
        preview: bool,
    },
    /// An emoji on the message that [`Message::about`] names; an empty one takes it back.
    Reaction {
        /// The emoji.
        emoji: String,
    },
    /// A file.
    Media(Media),
    /// A text with up to three buttons.
    Buttons {
        /// What stands around them.
        frame: Frame,
        /// Ids and titles.
        buttons: Vec<Choice>,
    },
    /// A text with a list to choose one row from.
    List {
        /// What stands around it.
        frame: Frame,
        /// Title of the button that opens the list.
        button: String,
        /// The list.
        sections: Vec<Section>,
    },
    /// A text with a button that opens a web page (`cta_url`).
    Link {
        /// What stands around it.
        frame: Frame,
        /// Title of the button.
        title: String,
        /// The page.
        url: String,
    },
    /// A text with a button that sends where the customer is.
    AskLocation {
        /// What it says.
        body: String,
    },
    /// A place.
    Location(Location),
    /// Address cards, as the Graph API has them.
    Contacts(Vec<Value>),
    /// A text that the platform has approved before; the only thing that may be sent when the
    /// customer has been silent for a day.
    Template(Template),
}

/// A file with what is said about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Media {
    /// Which kind of message.
    pub kind: MediaKind,
    /// Where the bytes are.
    pub source: MediaSource,
    /// Of images, videos and documents.
    pub caption: Option<String>,
    /// Of documents.
    pub filename: Option<String>,
    /// Of audio: whether it is played as a voice note (Ogg with Opus).
    pub voice: bool,
}

/// What stands around the buttons of an interactive message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Above the text.
    pub header: Option<Header>,
    /// The text.
    pub body: String,
    /// Below it, small.
    pub footer: Option<String>,
}

/// The top of an interactive message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Header {
    /// Bold text.
    Text(String),
    /// An image, a video or a document.
    Media(MediaKind, MediaSource),
}

/// A reply button.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// What comes back when it is tapped.
    pub id: String,
    /// What is on it.
    pub title: String,
}

/// Part of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    /// Present in all sections when there are several.
    pub title: Option<String>,
    /// At least one.
    pub rows: Vec<Row>,
}

/// One row of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// What comes back when it is chosen.
    pub id: String,
    /// First line.
    pub title: String,
    /// Second line.
    pub description: Option<String>,
}

/// A place on the map.
#[derive(Clone, PartialEq, Debug)]
pub struct Location {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
    /// What it is called.
    pub name: Option<String>,
    /// Where it is.
    pub address: Option<String>,
}

/// An approved text and what is put into it.
#[derive(Clone, PartialEq, Debug)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// Which of its languages, like `en_US`.
    pub language: String,
    /// As the Graph API has them.
    pub components: Vec<Value>,
}

/// One message on its way to one recipient.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// To whom.
    pub to: Recipient,
    /// What it says.
    pub content: Content,
    /// The platform's id of the message that is quoted, or reacted to.
    pub about: Option<String>,
    /// Comes back in every status: the name by which we know this message.
    pub callback: Option<String>,
}

/// What a business does without saying anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signal {
    /// The customer's message: it and all before it have been read.
    pub read: String,
    /// Whether to show that somebody is typing, until the answer or for 25 seconds.
    pub typing: bool,
}

impl Content {
    /// Whether the platform takes it only within 24 hours of the customer's last message.
    pub const fn needs_window(&self) -> bool {
        !matches!(self, Self::Template(_))
    }

    /// What a room shows of it where only text can be shown.
    pub fn summary(&self) -> Cow<'_, str> {
        let noted = |kind: &str, text: &str| match text {
            "" => Cow::Owned(format!("[{kind}]")),
            text => Cow::Owned(format!("[{kind}] {text}")),
        };
        match self {
            Self::Text { body, .. } | Self::AskLocation { body } => Cow::Borrowed(body),
            Self::Reaction { emoji } => noted("reaction", emoji),
            Self::Media(media) => {
                let named = media.caption.as_deref().or(media.filename.as_deref());
                noted(media.kind.name(), named.unwrap_or(""))
            }
            Self::Buttons { frame, buttons } => {
                let titles = buttons.iter().map(|button| button.title.as_str());
                chosen(&frame.body, titles)
            }
            Self::List { frame, sections, .. } => {
                let rows = sections.iter().flat_map(|section| &section.rows);
                chosen(&frame.body, rows.map(|row| row.title.as_str()))
            }
            Self::Link { frame, title, url } => {
                Cow::Owned(format!("{}\n[{title}] {url}", frame.body))
            }
            Self::Location(place) => {
                let named = place.name.as_deref().or(place.address.as_deref());
                noted("location", named.unwrap_or(""))
            }
            Self::Contacts(_) => Cow::Borrowed("[contacts]"),
            Self::Template(template) => noted("template", &template.name),
        }
    }
}

fn chosen<'a>(body: &'a str, titles: impl Iterator<Item = &'a str>) -> Cow<'a, str> {
    let mut text = body.to_owned();
    for title in titles {
        text.push_str("\n[");
        text.push_str(title);
        text.push(']');
    }
    Cow::Owned(text)
}
