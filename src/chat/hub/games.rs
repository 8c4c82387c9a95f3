//! Owner: built-in commands that people play and plan with: dice, polls, reminders.

use super::Hub;
use super::built_in::usage;
use super::commanding::{Caller, Said, speaker};
use crate::base::clock::Now;
use crate::base::limits::COMMAND_VALUE_BYTES_MAX;
use crate::chat::event::{Asker, Effect, Name, Refusal, Role, Source};
use crate::chat::request::bad;
use crate::chat::room::Room;
use crate::commands::{BuiltIn, mixed};
use serde_json::{Value, json};

const DICE_MAX: u64 = 100;
const SIDES_MAX: u64 = 1_000;
const OPTIONS_MAX: usize = 10;
/// Holds the question of a poll.
const POLL: &str = "poll question";
/// Begins what holds a vote.
const VOTE: &str = "poll vote:";
/// Begins what holds a reminder: the moment in ms, and a number.
const REMINDER: &str = "remind ";
const REMIND_MAX_MS: i64 = 366 * 24 * 3_600_000;

impl Hub {
    /// `/roll`, `/roll 3d8`, `/roll d20+2`.
    pub(super) fn roll(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        args: &str,
    ) -> Result<Said, Refusal> {
        self.check_may_speak(now, caller.room, caller.by)?;
        let dice = if args.is_empty() { "1d6" } else { args };
        let wrong = || bad("usage: /roll [2d6+1]: up to 100 dice of up to 1000 sides");
        let (count, sides, plus) = read_dice(dice).ok_or_else(wrong)?;
        let random = self.random();
        let thrown: Vec<u64> =
            (0..count as usize).map(|index| mixed(random, index) % sides + 1).collect();
        let total = thrown.iter().sum::<u64>() as i64 + plus;
        let each = match thrown.as_slice() {
            [_] if plus == 0 => String::new(),
            thrown => {
                let each: Vec<_> = thrown.iter().map(u64::to_string).collect();
                format!(" ({}{})", each.join(" + "), shown_plus(plus))
            }
        };
        let text = format!("{} rolls {dice}: {total}{each}", caller.by.user);
        let publicly = Some((speaker("roll"), text.into()));
        Ok(Said { publicly, ..Said::default() })
    }

    /// `/poll Lunch? | Pizza | Soup` asks, `/poll` tells how it stands, `/poll close` ends it.
    pub(super) fn poll(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        args: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<Said, Refusal> {
        let (name, by) = (caller.room, caller.by);
        let room = &self.rooms[name];
        match args {
            "" => Ok(Said::to_caller(standing(room).ok_or_else(no_poll)?)),
            "close" => {
                let result = standing(room).ok_or_else(no_poll)?;
                self.check_polls(name, by)?;
                self.forget_poll(now, name, by, effects)?;
                let text = format!("The poll is over.\n{result}");
                Ok(Said { publicly: Some((speaker("poll"), text.into())), ..Said::default() })
            }
            args => {
                self.check_may_speak(now, name, by)?;
                let mut parts = args.split('|').map(str::trim).filter(|part| !part.is_empty());
                let question = parts.next().unwrap_or_default();
                let options: Vec<_> = parts.collect();
                if !(2..=OPTIONS_MAX).contains(&options.len()) {
                    return Err(bad("a poll has 2 to 10 answers: /poll Lunch? | Pizza | Soup"));
                }
                if standing(room).is_some() {
                    self.check_polls(name, by)?;
                    self.forget_poll(now, name, by, effects)?;
                }
                let value = json!({"by": *by.user, "question": question, "options": options});
                self.keep(now, (name, &by.user), POLL, &value.to_string(), effects)?;
                let lines = (1..).zip(&options).map(|(n, option)| format!("{n}. {option}"));
                let lines: Vec<_> = lines.collect();
                let text = format!("{question}\n{}\n/vote 1 chooses", lines.join("\n"));
                Ok(Said { publicly: Some((speaker("poll"), text.into())), ..Said::default() })
            }
        }
    }

    pub(super) fn vote(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        command: &BuiltIn,
        args: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        let room = &self.rooms[caller.room];
        let poll = poll_of(room).ok_or_else(no_poll)?;
        let options = poll["options"].as_array().map_or(0, Vec::len);
        let number = args.parse().map_err(|_| usage(command))?;
        if !(1..=options).contains(&number) {
            return Err(bad(&format!("`NUMBER` is from 1 to {options}; for example: /vote 1")));
        }
        let user = &caller.by.user;
        let key = format!("{VOTE}{user}");
        self.keep(now, (caller.room, user), &key, &number.to_string(), effects)?;
        let option = poll["options"][number - 1].as_str().unwrap_or_default();
        Ok(format!("you chose {option}"))
    }

    /// Whether somebody may end a poll that is under way.
    fn check_polls(&self, name: &Name, by: &Asker) -> Result<(), Refusal> {
        let poll = poll_of(&self.rooms[name]).unwrap_or_default();
        if poll["by"] == *by.user || self.rank(name, by) >= Role::Moderator {
            return Ok(());
        }
        Err(bad("another poll is under way; whoever asked, or a moderator, ends it: /poll close"))
    }

    fn forget_poll(
        &mut self,
        now: Now,
        name: &Name,
        by: &Asker,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let kept = self.rooms[name].kept_of("poll ").map(|(key, _)| key.to_owned());
        for key in kept.collect::<Vec<_>>() {
            self.keep(now, (name, &by.user), &key, "", effects)?;
        }
        Ok(())
    }

    /// `/remind 10m look at the oven`.
    pub(super) fn remind(
        &mut self,
        now: Now,
        caller: &Caller<'_>,
        command: &BuiltIn,
        args: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<String, Refusal> {
        self.check_may_speak(now, caller.room, caller.by)?;
        let (span, text) = args.split_once(char::is_whitespace).ok_or_else(|| usage(command))?;
        let span_ms = read_span(span).ok_or_else(|| {
            bad("`TIME` is a number with s, m, h or d; for example: /remind 90m drink something")
        })?;
        let text = text.trim();
        let (user, due_ms) = (&caller.by.user, now.wall_ms() + span_ms);
        if text.len() + user.len() + 64 > COMMAND_VALUE_BYTES_MAX {
            return Err(bad("a reminder is shorter than 4 KiB"));
        }
        let number = self.random() % 1_000_000;
        let value = json!({"user": **user, "text": text}).to_string();
        let key = format!("{REMINDER}{due_ms} {number}");
        self.keep(now, (caller.room, user), &key, &value, effects)?;
        self.set_alarm(caller.room);
        Ok(format!("you will be reminded in {span}"))
    }

    /// Says what somebody wanted to be reminded of by now.
    pub(super) fn tell_reminders(&mut self, now: Now, name: &Name, effects: &mut Vec<Effect>) {
        let Some(room) = self.rooms.get(name) else { return };
        let due = room
            .kept_of(REMINDER)
            .filter(|(key, _)| reminder_ms(key).is_some_and(|due_ms| due_ms <= now.wall_ms()));
        let due: Vec<(String, String)> =
            due.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        for (key, value) in due {
            let value: Value = serde_json::from_str(&value).unwrap_or_default();
            let text = |name: &str| value[name].as_str().unwrap_or_default();
            let (user, words) = (text("user"), text("text"));
            let (speaker, by) = (speaker("remind"), Name::from(user));
            if self.check_log(words.len() + value.to_string().len()).is_err() {
                return;
            }
            // Taken back first: a stop in between loses it rather than says it twice.
            let _ = self.keep(now, (name, &by), &key, "", effects);
            let text = (format!("@{user} {words}").into(), None);
            let _ = self.write(now, (name, &speaker), Source::Command, text, None, effects);
        }
    }
}

/// When the first reminder of a room is due, ms since 1970.
pub(super) fn next_reminder_ms(room: &Room) -> Option<i64> {
    room.kept_of(REMINDER).filter_map(|(key, _)| reminder_ms(key)).min()
}

fn reminder_ms(key: &str) -> Option<i64> {
    key.strip_prefix(REMINDER)?.split(' ').next()?.parse().ok()
}

/// Dice, sides, and what is added.
fn read_dice(text: &str) -> Option<(u64, u64, i64)> {
    let text = text.to_ascii_lowercase();
    let (dice, plus) = match text.find(['+', '-']) {
        Some(at) => (&text[..at], text[at..].parse::<i64>().ok()?),
        None => (&*text, 0),
    };
    let (count, sides) = dice.trim().split_once('d')?;
    let count = if count.is_empty() { 1 } else { count.parse().ok()? };
    let sides = sides.trim().parse().ok()?;
    let fits = (1..=DICE_MAX).contains(&count)
        && (2..=SIDES_MAX).contains(&sides)
        && plus.abs() <= 1_000_000;
    fits.then_some((count, sides, plus))
}

fn shown_plus(plus: i64) -> String {
    match plus {
        0 => String::new(),
        plus if plus < 0 => format!(" - {}", -plus),
        plus => format!(" + {plus}"),
    }
}

/// `90s`, `10m`, `2h`, `1d`, and numbers of minutes.
fn read_span(text: &str) -> Option<i64> {
    let at = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit_ms = match unit {
        "s" | "sec" => 1_000,
        "" | "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 24 * 3_600_000,
        _ => return None,
    };
    let span_ms = number.parse::<i64>().ok()?.checked_mul(unit_ms)?;
    (1..=REMIND_MAX_MS).contains(&span_ms).then_some(span_ms)
}

fn no_poll() -> Refusal {
    bad("there is no poll here; /poll Lunch? | Pizza | Soup begins one")
}

fn poll_of(room: &Room) -> Option<Value> {
    serde_json::from_str(room.kept(POLL)?).ok()
}

/// The question, and how many chose what.
fn standing(room: &Room) -> Option<String> {
    let poll = poll_of(room)?;
    let options = poll["options"].as_array()?;
    let mut counts = vec![0_u32; options.len()];
    for (_, vote) in room.kept_of(VOTE) {
        let number = vote.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        if let Some(count) = number.and_then(|index| counts.get_mut(index)) {
            *count += 1;
        }
    }
    let lines = (1..).zip(options).zip(&counts).map(|((number, option), count)| {
        format!("{number}. {}: {count}", option.as_str().unwrap_or_default())
    });
    let lines: Vec<_> = lines.collect();
    Some(format!("{}\n{}", poll["question"].as_str().unwrap_or_default(), lines.join("\n")))
}
