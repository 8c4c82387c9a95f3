//! What each typed command does to the session. Pure.

use super::commands::{COMMANDS, Input};
use super::note::Note;
use super::request::{self, Request};
use super::room::Room;
use super::session::Session;
use serde_json::json;

impl Session {
    /// Carries out one input; frames and notes are taken from the session afterwards.
    pub(super) fn obey(&mut self, input: Input) {
        match input {
            Input::Say(text) => self.say(text, None),
            Input::Reply(o, text) => self.say(text, Some(o)),
            Input::Join(name) => self.enter_room(name),
            Input::Leave(name) => self.leave_room(name.unwrap_or_else(|| self.active.clone())),
            Input::Switch(name) if self.rooms.contains_key(&name) => self.look_at(&name),
            Input::Switch(name) => {
                self.notes.push(Note::Error(format!("you are not in {name}: /join {name}")));
            }
            Input::Rooms => self.list_rooms(),
            Input::Help => self.help(),
            Input::Who => {
                self.ask_now(Request::Who(self.active.clone()), json!({"limit": 100}));
            }
            Input::History(count) => {
                self.ask_now(Request::History(self.active.clone()), json!({"limit": count}));
            }
            Input::Status(state, text) => {
                self.ask_now(Request::Status, json!({"state": state, "text": text}));
            }
            Input::Edit(o, text) => {
                if let Some(o) = self.own_or_named(o) {
                    let d = json!({"o": o, "text": text});
                    self.ask_now(Request::Edit(self.active.clone()), d);
                }
            }
            Input::Delete(o) => {
                if let Some(o) = self.own_or_named(o) {
                    self.ask_now(Request::Delete(self.active.clone()), json!({"o": o}));
                }
            }
            // The caller ends the program; a session that ends in order says so.
            Input::Quit => self.notes.push(Note::Info("bye".into())),
        }
    }

    /// Asks when there is a connection: unlike messages, questions do not wait for one.
    fn ask_now(&mut self, request: Request, d: serde_json::Value) {
        if self.online {
            self.ask(request, d);
        } else {
            self.notes.push(Note::Error("not connected: try again in a moment".into()));
        }
    }

    fn own_or_named(&mut self, named: Option<u64>) -> Option<u64> {
        let own = self.rooms.get(&self.active).and_then(|room| room.last_own);
        let found = named.or(own);
        if found.is_none() {
            self.notes.push(Note::Error("you have written nothing here yet".into()));
        }
        found
    }

    fn enter_room(&mut self, name: String) {
        if !self.rooms.contains_key(&name) {
            self.rooms.insert(name.clone(), Room::default());
            // Offline, the next `hello` joins it.
            if self.online {
                self.ask(Request::Join(name.clone()), request::last(30));
            }
        }
        self.look_at(&name);
    }

    fn look_at(&mut self, name: &str) {
        self.active = name.to_string();
        let room = self.rooms.get_mut(name).expect("callers look at joined rooms");
        let kept = room.look();
        self.notes.push(Note::Info(format!("now in {name}")));
        self.notes.extend(kept);
    }

    fn leave_room(&mut self, name: String) {
        if !self.rooms.contains_key(&name) {
            self.notes.push(Note::Error(format!("you are not in {name}")));
            return;
        }
        self.drop_room(&name);
        if self.active.is_empty()
            && let Some(other) = self.rooms.keys().next().cloned()
        {
            self.look_at(&other);
        }
        if self.online {
            self.ask(Request::Leave(name), json!({}));
        }
    }

    fn list_rooms(&mut self) {
        for (name, room) in &self.rooms {
            let here = if *name == self.active { "*" } else { " " };
            let unread = match room.unread {
                0 => String::new(),
                unread => format!("  {unread} unread"),
            };
            self.notes.push(Note::Info(format!("{here} {name}{unread}")));
        }
    }

    fn help(&mut self) {
        for (name, arguments, text) in COMMANDS {
            let left = format!("/{name} {arguments}");
            self.notes.push(Note::Info(format!("{left:<32} {text}")));
        }
    }
}
