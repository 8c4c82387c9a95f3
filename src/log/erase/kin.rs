//! Under which other ids the log knows a contact.

use super::plan::{open, visit};
use crate::base::hash::Map;
use crate::base::limits::ERASED_NAME_PREFIX;
use crate::base::names::{PLATFORM_PREFIX, split_conversation};
use crate::log::reader::Segment;
use crate::log::record::{ConversationAction, Kind, NameId, NameKind, RecordView};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Which names lead to which conversation, as the log said last.
#[derive(Debug, Default)]
pub struct Links(Map<Box<str>, Box<str>>);

impl Links {
    /// Reads them from [`files`](super::plan::files). What cannot be read says nothing: whoever
    /// erases looks at every file again, and refuses those that may hold anything.
    pub fn read(files: &[PathBuf]) -> Self {
        let mut links = Self::default();
        // What a snapshot keeps is older than the segments behind it, and may stand only there.
        let (snapshots, segments): (Vec<_>, Vec<_>) =
            files.iter().partition(|path| path.extension().is_some_and(|end| end == "snap"));
        for path in snapshots.into_iter().chain(segments) {
            if let Ok(Some(segment)) = open(path) {
                links.read_segment(&segment);
            }
        }
        links
    }

    fn read_segment(&mut self, segment: &Segment) {
        let mut rooms: Map<NameId, Box<str>> = Map::default();
        let names = segment.names().filter(|(_, kind, _)| *kind == NameKind::Room);
        rooms.extend(names.map(|(id, _, name)| (id, name.into())));
        let _ = visit(segment, 1 << Kind::Conversation.tag(), |_, record| {
            let view = RecordView::check(Kind::Conversation, record.payload);
            if let Some(RecordView::Conversation(change)) = view
                && change.action == ConversationAction::Link as u8
                && let Some(room) = rooms.get(&record.header.room)
            {
                self.link(room, &change.value);
            }
            ControlFlow::Continue(())
        });
    }

    /// From here on `name` leads to `target`; to itself: nowhere else.
    fn link(&mut self, name: &str, target: &str) {
        if name == target {
            self.0.remove(name);
        } else {
            self.0.insert(name.into(), target.into());
        }
    }

    /// All users that are the same contact of one of our numbers as `user`, who is among them; in
    /// order of their names. Whoever has a phone number now that was somebody else's before is
    /// somebody else.
    pub fn kin(&self, user: &str) -> BTreeSet<String> {
        let mut kin = BTreeSet::from([user.to_owned()]);
        let Some(id) = user.strip_prefix(PLATFORM_PREFIX) else { return kin };
        let is_theirs = |name: &&str| split_conversation(name).is_some_and(|at| at.1 == id);
        let names = self.0.iter().flat_map(|(name, target)| [&**name, &**target]);
        let mut theirs: BTreeSet<&str> = names.filter(is_theirs).collect();
        let mut known_count = 0;
        // Links to links: a few rounds at most.
        while known_count < theirs.len() {
            known_count = theirs.len();
            for (name, target) in &self.0 {
                if theirs.contains(&**name) || theirs.contains(&**target) {
                    theirs.extend([&**name, &**target]);
                }
            }
        }
        let contacts = theirs.iter().filter_map(|name| split_conversation(name));
        for (_, contact) in contacts.filter(|at| !at.1.starts_with(ERASED_NAME_PREFIX)) {
            kin.insert(format!("{PLATFORM_PREFIX}{contact}"));
        }
        kin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (links in the order of the log, user, who else it is)
    #[test]
    fn the_ids_of_one_contact_are_found_by_any_of_them_and_no_other() {
        let merged = &["1:GB.7 1:4477", "1:9 1:GB.7"][..];
        check(merged, "4477", "4477 9 GB.7");
        check(merged, "GB.7", "4477 9 GB.7");
        check(merged, "9", "4477 9 GB.7");
        check(merged, "447", "447");
        // The number is somebody else's now.
        let given = &["1:4477 1:GB.7", "1:4477 1:GB.9"][..];
        check(given, "GB.7", "GB.7");
        check(given, "GB.9", "4477 GB.9");
        check(given, "4477", "4477 GB.9");
        check(&["1:4477 1:GB.7", "1:4477 1:4477"], "GB.7", "GB.7");
        // Of several numbers of ours, those that know this id.
        let both = &["1:4477 1:GB.7", "2:9 2:GB.7", "2:8 2:4477"][..];
        check(both, "GB.7", "4477 9 GB.7");
        check(both, "9", "9 GB.7");
        check(&["1:4477 1:erased-7"], "4477", "4477");
        check(&["1:a 1:b", "1:b 1:c", "1:c 1:a", "1:d 1:a"], "b", "a b c d");
        let links = Links::read(&[]);
        assert_eq!(links.kin("ann"), BTreeSet::from(["ann".to_owned()]));
    }

    #[track_caller]
    fn check(lines: &[&str], id: &str, want: &str) {
        let mut links = Links::default();
        for line in lines {
            let (name, target) = line.split_once(' ').expect("two names");
            links.link(&format!("wa:{name}"), &format!("wa:{target}"));
        }
        let kin = links.kin(&format!("wa:{id}"));
        let kin: Vec<_> = kin.iter().map(|user| &user[3..]).collect();
        assert_eq!(kin.join(" "), want, "{id} in {lines:?}");
    }
}
