//! Buttons, lists and links.

use super::fields::Fields;
use super::media::{self, MediaKind};
use super::refused::{Problem, Refused};
use super::{Choice, Content, Frame, Header, Row, Section};
use crate::whatsapp::limits::{
    BUTTON_ID_CHARS_MAX, BUTTON_TITLE_CHARS_MAX, BUTTONS_MAX, FOOTER_CHARS_MAX, HEADER_CHARS_MAX,
    INTERACTIVE_BODY_CHARS_MAX, LINK_CHARS_MAX, LIST_BODY_CHARS_MAX, ROW_DESCRIPTION_CHARS_MAX,
    ROW_ID_CHARS_MAX, ROW_TITLE_CHARS_MAX, ROWS_MAX, SECTION_TITLE_CHARS_MAX, SECTIONS_MAX,
};

pub(super) fn buttons(fields: &Fields<'_>) -> Result<Content, Refused> {
    fields.only(&["type", "header", "text", "footer", "buttons"])?;
    let frame = frame(fields, INTERACTIVE_BODY_CHARS_MAX)?;
    let mut buttons: Vec<Choice> = Vec::new();
    for item in fields.need_objects("buttons", BUTTONS_MAX)? {
        item.only(&["id", "title"])?;
        let title = item.need_text("title", BUTTON_TITLE_CHARS_MAX)?;
        // A button that nobody named is named by what is on it.
        let id = item.text("id", BUTTON_ID_CHARS_MAX)?.unwrap_or_else(|| title.clone());
        if buttons.iter().any(|button| button.title == title) {
            return Err(item.refuse("title", Problem::Twice(title)));
        }
        if buttons.iter().any(|button| button.id == id) {
            return Err(item.refuse("id", Problem::Twice(id)));
        }
        buttons.push(Choice { id, title });
    }
    Ok(Content::Buttons { frame, buttons })
}

pub(super) fn list(fields: &Fields<'_>) -> Result<Content, Refused> {
    fields.only(&["type", "header", "text", "footer", "button", "sections"])?;
    let frame = frame(fields, LIST_BODY_CHARS_MAX)?;
    if let Some(Header::Media(..)) = frame.header {
        return Err(fields.refuse("header", Problem::NotA("a text: lists have no other header")));
    }
    let button = fields.need_text("button", BUTTON_TITLE_CHARS_MAX)?;
    let given = fields.need_objects("sections", SECTIONS_MAX)?;
    let several = given.len() > 1;
    let mut sections: Vec<Section> = Vec::new();
    let mut count = 0;
    for section in given {
        section.only(&["title", "rows"])?;
        let title = section.text("title", SECTION_TITLE_CHARS_MAX)?;
        if several && title.is_none() {
            return Err(section.refuse("title", Problem::Missing));
        }
        let items = section.need_objects("rows", usize::MAX)?;
        count += items.len();
        if count > ROWS_MAX {
            let problem = Problem::Many { max: ROWS_MAX, given: count };
            return Err(fields.refuse("sections[].rows", problem));
        }
        let mut rows = Vec::with_capacity(items.len());
        for item in items {
            let row = row(&item)?;
            let before = sections.iter().flat_map(|section| &section.rows).chain(&rows);
            if before.into_iter().any(|other: &Row| other.id == row.id) {
                return Err(item.refuse("id", Problem::Twice(row.id)));
            }
            rows.push(row);
        }
        sections.push(Section { title, rows });
    }
    Ok(Content::List { frame, button, sections })
}

fn row(fields: &Fields<'_>) -> Result<Row, Refused> {
    fields.only(&["id", "title", "description"])?;
    let title = fields.need_text("title", ROW_TITLE_CHARS_MAX)?;
    let id = fields.text("id", ROW_ID_CHARS_MAX)?.unwrap_or_else(|| title.clone());
    Ok(Row { id, title, description: fields.text("description", ROW_DESCRIPTION_CHARS_MAX)? })
}

pub(super) fn link(fields: &Fields<'_>) -> Result<Content, Refused> {
    fields.only(&["type", "header", "text", "footer", "title", "url"])?;
    let url = fields.link("url", LINK_CHARS_MAX)?;
    Ok(Content::Link {
        frame: frame(fields, INTERACTIVE_BODY_CHARS_MAX)?,
        title: fields.need_text("title", BUTTON_TITLE_CHARS_MAX)?,
        url: url.ok_or_else(|| fields.refuse("url", Problem::Missing))?,
    })
}

pub(super) fn ask_location(fields: &Fields<'_>) -> Result<Content, Refused> {
    fields.only(&["type", "text"])?;
    Ok(Content::AskLocation { body: fields.need_text("text", INTERACTIVE_BODY_CHARS_MAX)? })
}

fn frame(fields: &Fields<'_>, body_chars_max: usize) -> Result<Frame, Refused> {
    Ok(Frame {
        header: header(fields)?,
        body: fields.need_text("text", body_chars_max)?,
        footer: fields.text("footer", FOOTER_CHARS_MAX)?,
    })
}

/// A text, or `{"image":{"link":…}}` and likewise for videos and documents.
fn header(fields: &Fields<'_>) -> Result<Option<Header>, Refused> {
    let Some(value) = fields.get("header") else { return Ok(None) };
    if value.is_string() {
        return Ok(fields.text("header", HEADER_CHARS_MAX)?.map(Header::Text));
    }
    let names: &[&str] = &["image", "video", "document"];
    let header = Fields::within(value, &fields.path("header"))?;
    header.only(names)?;
    let mut given = header.map().iter();
    let (Some((name, source)), None) = (given.next(), given.next()) else {
        return Err(fields.refuse("header", Problem::OneOf(names)));
    };
    let kind = MediaKind::named(name).expect("one of the names above");
    let source = Fields::within(source, &header.path(name))?;
    source.only(&["id", "link"])?;
    Ok(Some(Header::Media(kind, media::source(&source)?)))
}
