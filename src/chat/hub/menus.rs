//! Front: the menu of commands that WhatsApp shows to contacts.

use super::Hub;
use crate::base::codes::ErrorCode;
use crate::chat::event::{Asker, Effect};
use crate::chat::request::refuse;
use crate::commands::Menu;
use serde_json::Value;

/// A menu that the platform was told.
#[derive(Debug)]
pub struct Publishing {
    by: Asker,
    menu: Value,
}

impl Hub {
    /// Publishes the menu of one of our numbers, or only says what would stand in it.
    pub(super) fn publish_menu(
        &mut self,
        by: Asker,
        (number, wanted): (&str, &[Box<str>]),
        dry_run: bool,
        effects: &mut Vec<Effect>,
    ) {
        let is_ours = self.options.platform.numbers.iter().any(|known| **known == *number);
        let menu = match Menu::of(&self.book, number, wanted) {
            _ if !is_ours => {
                let text = format!("this server sends nothing by {number}");
                Err(refuse(ErrorCode::CannotSend, &text))
            }
            menu => menu.map_err(|why| refuse(ErrorCode::BadRequest, &why)),
        };
        let menu = match menu {
            Ok(menu) => menu,
            Err(refusal) => return self.refuse(by.from, by.id, &refusal, effects),
        };
        let value = menu.value(number);
        if dry_run {
            return self.grant_value(&by, &value, effects);
        }
        self.calling_number += 1;
        let ticket = self.calling_number;
        self.publishing.insert(ticket, Publishing { by, menu: value });
        let (number, body) = (number.into(), menu.body().into());
        effects.push(Effect::Menu { ticket, number, body });
    }

    /// The platform has answered, or has not.
    pub(super) fn menu_published(
        &mut self,
        Publishing { by, menu }: Publishing,
        result: &Result<(u16, Vec<u8>), Box<str>>,
        effects: &mut Vec<Effect>,
    ) {
        let why = match result {
            Ok((200..=299, _)) => return self.grant_value(&by, &menu, effects),
            Ok((status, body)) => {
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                let words = body["error"]["message"].as_str().unwrap_or_default();
                let words = &words[..words.floor_char_boundary(256)];
                format!("WhatsApp refused the menu with status {status}: {words}")
            }
            Err(why) => format!("WhatsApp was not reached: {why}"),
        };
        self.refuse(by.from, by.id, &refuse(ErrorCode::CommandFailed, &why), effects);
    }
}
