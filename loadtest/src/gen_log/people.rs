//! Who talks where: users who come and go, rooms, and customers who write from WhatsApp.

use super::command_line::Options;
use super::dice::{Dice, Zipf};
use super::words::pronounceable;
use std::collections::HashSet;

/// Rooms that one user is found in.
pub const HOMES: usize = 6;

/// Names that reports, exports and terminals get wrong.
const ODD_NAMES: [&str; 20] = [
    "=cmd|' /C calc'!A0",
    "a,\"b\";c",
    "tab\there",
    "two\nlines",
    "\u{202e}desrever",
    "<script>alert(1)</script>",
    "null",
    "NaN",
    "0",
    "-1",
    " spaces around ",
    "../../etc/passwd",
    "'; DROP TABLE users; --",
    "\u{1b}[31mred\u{7f}",
    "\u{9b}31mC1",
    "👩‍💻",
    "Ǆ ŉ ﬀ ß İ",
    "e\u{301}\u{301}\u{301}",
    "%s%n\\u0000",
    "\u{feff}\u{200b}",
];

/// A conversation with somebody outside.
#[derive(Debug)]
pub struct Contact {
    /// The room, named as the server names it.
    pub room: String,
    /// The user that stands for the customer.
    pub user: String,
    /// The customer's name as the platform shows it.
    pub display: String,
}

/// Everybody.
#[derive(Debug)]
pub struct People {
    /// Users of the server, the talkative first.
    pub users: Vec<String>,
    /// First and last day on which each is there.
    pub days: Vec<(u32, u32)>,
    /// The rooms of each, the favourite first.
    pub homes: Vec<[u32; HOMES]>,
    /// Names of the rooms, the busy first.
    pub rooms: Vec<String>,
    /// Conversations, the busy first.
    pub contacts: Vec<Contact>,
    talk: Zipf,
    home: Zipf,
    ask: Zipf,
}

impl People {
    /// Invents them.
    pub fn new(options: &Options, dice: &mut Dice) -> Self {
        let mut taken = HashSet::new();
        let mut users: Vec<String> =
            (0..options.users).map(|_| user_name(dice, &mut taken)).collect();
        if options.odd_names {
            for (user, odd) in users.iter_mut().step_by(2).zip(ODD_NAMES) {
                *user = odd.to_owned();
            }
        }
        let rooms = room_names(options, dice);
        let busy = Zipf::new(rooms.len(), 0.9);
        let homes =
            (0..users.len()).map(|_| std::array::from_fn(|_| busy.draw(dice) as u32)).collect();
        let days = (0..users.len()).map(|_| stay(options.days, dice)).collect();
        let contacts: Vec<Contact> =
            (0..options.customers).map(|number| contact(number, dice)).collect();
        Self {
            talk: Zipf::new(users.len(), 1.0),
            home: Zipf::new(HOMES, 1.2),
            ask: Zipf::new(contacts.len().max(1), 0.7),
            users,
            days,
            homes,
            rooms,
            contacts,
        }
    }

    /// A user who is there on that day, and one of their rooms, by its index in `homes`.
    pub fn speaker(&self, day: u32, dice: &mut Dice) -> (usize, usize) {
        let mut user = self.talk.draw(dice);
        for _ in 0..8 {
            let (first, last) = self.days[user];
            if (first..=last).contains(&day) {
                break;
            }
            user = self.talk.draw(dice);
        }
        (user, self.home.draw(dice))
    }

    /// One of the conversations.
    pub fn customer(&self, dice: &mut Dice) -> usize {
        self.ask.draw(dice)
    }

    /// Who answers in a conversation: mostly the same of the agents, the first few users.
    pub fn agent(&self, contact: usize, dice: &mut Dice) -> usize {
        let count = (self.users.len() / 20).clamp(1, 40);
        if dice.chance(800) { contact % count } else { dice.below(count) }
    }
}

fn user_name(dice: &mut Dice, taken: &mut HashSet<String>) -> String {
    loop {
        let (first, last) = (dice.below(1 << 30), dice.below(1 << 30));
        let name = format!("{}.{}", pronounceable(first, 2), pronounceable(last, 2));
        if taken.insert(name.clone()) {
            return name;
        }
    }
}

fn room_names(options: &Options, dice: &mut Dice) -> Vec<String> {
    let known = ["lobby", "support", "sales", "engineering", "random"];
    (0..options.rooms)
        .map(|number| match known.get(number) {
            Some(name) => (*name).to_owned(),
            None if options.odd_names && number % 7 == 0 => format!("room \"{number}\", 房间"),
            None => format!("{}-{number}", pronounceable(dice.below(1 << 30), 2)),
        })
        .collect()
}

/// Four of ten were there before, the others come over time; three of ten leave for good.
fn stay(days: u32, dice: &mut Dice) -> (u32, u32) {
    let first = if dice.chance(400) { 0 } else { dice.below(days as usize) as u32 };
    let left = (days - first) as usize;
    let last = if dice.chance(300) { first + dice.below(left) as u32 } else { u32::MAX };
    (first, last)
}

fn contact(number: usize, dice: &mut Dice) -> Contact {
    const NUMBERS: [&str; 3] = ["110220330440550", "110220330440551", "110220330440552"];
    const LANDS: [&str; 6] = ["GB", "DE", "ES", "BR", "IN", "ZA"];
    let land = LANDS[dice.below(LANDS.len())];
    let key = format!("{land}.7{:010}{number:07}", dice.below(10_000_000_000));
    let display = if dice.chance(50) {
        String::new()
    } else {
        let mut name = pronounceable(dice.below(1 << 30), 2);
        name[..1].make_ascii_uppercase();
        name
    };
    let room = ringpost::whatsapp::room_name(NUMBERS[number % NUMBERS.len()], &key)
        .expect("digits and letters make a room");
    Contact { room: room.to_string(), user: format!("wa:{key}"), display }
}
