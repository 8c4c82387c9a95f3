//! One walk over the records of a segment makes every section of its sidecar.

use super::coder::Coder;
use super::columns::{Column, TableKind};
use super::grams::GramsMade;
use super::names::NameSet;
use super::rollup::{MessageSeen, RollupMade};
use super::{Damaged, SECTION_ALIGN, SectionId, SegmentKey, Sidecar, Writer, times};
use crate::log::archive::history_of;
use crate::log::directory::LogError;
use crate::log::format::SegmentHeader;
use crate::log::reader::{Segment, Trust, walk_file};
use crate::log::record::{Kind, NameId, NameKind, RawRecord, RecordView};
use rkyv::util::AlignedVec;
use rkyv::{Archive, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What a sidecar is made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Purpose {
    /// A file: everything.
    File,
    /// One question, now: without what costs more to make than to do without.
    Question,
}

/// The batches of a segment, so that a record can be checked and numbered without a walk.
#[derive(Archive, Serialize, Debug, Default)]
pub struct Batches {
    /// Where each begins.
    pub offsets: Vec<u32>,
    /// Sequence number of the first record of each.
    pub base_seqs: Vec<u64>,
}

/// Makes the sidecar of what the segment at `path` holds below `until_seq`. `None`: the file is no
/// segment; its damage is the log's own affair.
pub fn build(path: &Path, until_seq: u64) -> Option<AlignedVec<SECTION_ALIGN>> {
    let (mut writer, key) = rows_of(&File::open(path).ok()?, until_seq, None, Purpose::File)?;
    let segment = Segment::open_alone(path, Trust::Checksum).ok()?;
    writer.add(SectionId::HISTORY, &history_of(&segment, until_seq));
    Some(writer.finish(&key))
}

/// What one question needs of a sidecar, made of a file that is open, and `written` so far when
/// somebody writes to it.
pub fn build_answer(
    file: &File,
    until_seq: u64,
    written: Option<u32>,
) -> Option<AlignedVec<SECTION_ALIGN>> {
    let (writer, key) = rows_of(file, until_seq, written, Purpose::Question)?;
    Some(writer.finish(&key))
}

fn rows_of(
    file: &File,
    until_seq: u64,
    written: Option<u32>,
    purpose: Purpose,
) -> Option<(Writer, SegmentKey)> {
    let mut made = Made::new(purpose);
    let scan = walk_file(file, written, |seq, offset, record| {
        if seq < until_seq {
            made.record(offset, record);
        }
    });
    let scan = scan.ok()?;
    made.damage_count = scan.corrupt.len() as u32;
    let mut writer = Writer::default();
    let mut batches = Batches::default();
    for place in &scan.batches {
        batches.offsets.push(place.offset);
        batches.base_seqs.push(place.base_seq);
    }
    writer.add(SectionId::BATCHES, &batches);
    made.write(&mut writer);
    Some((writer, SegmentKey::of(&scan, until_seq)))
}

/// The sidecar of a segment that cannot be read: it has no rows.
pub fn build_empty(header: &SegmentHeader) -> AlignedVec<SECTION_ALIGN> {
    let mut writer = Writer::default();
    writer.add(SectionId::BATCHES, &Batches::default());
    Made::new(Purpose::Question).write(&mut writer);
    writer.finish(&SegmentKey {
        salt: header.salt,
        base_seq: header.base_seq,
        until_seq: header.base_seq,
        end: 0,
        last_offset: 0,
        last_crc: 0,
    })
}

impl Sidecar {
    /// Where the batches with records begin, ascending.
    pub fn batch_offsets(&self) -> Result<Vec<u32>, Damaged> {
        let batches = self.section::<ArchivedBatches>(SectionId::BATCHES)?.ok_or(Damaged)?;
        Ok(batches.offsets.iter().map(|offset| offset.to_native()).collect())
    }
}

/// Makes the sidecar of the segment at `segment` and puts it beside it: written under another name
/// and renamed, so that a reader meets a whole one or none. Not synced: what a power cut takes is
/// made again. `None`: the file is no segment.
pub fn write(segment: &Path, until_seq: u64) -> Result<Option<PathBuf>, LogError> {
    let Some(bytes) = build(segment, until_seq) else { return Ok(None) };
    let path = segment.with_extension("idx");
    let draft = segment.with_extension("idx.tmp");
    let opened =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft);
    let written = opened
        .and_then(|mut file| file.write_all(&bytes))
        .and_then(|()| std::fs::rename(&draft, &path));
    if let Err(error) = written {
        let _ = std::fs::remove_file(&draft);
        return Err(LogError::io("write", &path)(error));
    }
    Ok(Some(path))
}

/// The columns that every table has.
#[derive(Debug, Default)]
struct Base {
    times: Vec<i64>,
    users: Vec<u32>,
    rooms: Vec<u32>,
    offs: Vec<u32>,
}

/// Everything as it grows, row by row.
#[derive(Debug)]
struct Made {
    purpose: Purpose,
    users: Coder,
    rooms: Coder,
    commands: Coder,
    tables: [Base; TableKind::ALL.len()],
    positions: Vec<u64>,
    sizes: Vec<u16>,
    sources: Vec<u8>,
    directions: Vec<u8>,
    statuses: Vec<u8>,
    errors: Vec<u32>,
    command_codes: Vec<u32>,
    durations: Vec<u32>,
    outcomes: Vec<u8>,
    actions: Vec<u8>,
    close_codes: Vec<u16>,
    tags: Vec<u16>,
    rollup: RollupMade,
    grams: GramsMade,
    /// Stands for the time of a record of an unknown type.
    latest_us: i64,
    damage_count: u32,
}

impl Made {
    fn new(purpose: Purpose) -> Self {
        Self {
            purpose,
            users: Coder::new(NameSet::Users),
            rooms: Coder::new(NameSet::Rooms),
            commands: Coder::new(NameSet::Commands),
            tables: Default::default(),
            positions: Vec::new(),
            sizes: Vec::new(),
            sources: Vec::new(),
            directions: Vec::new(),
            statuses: Vec::new(),
            errors: Vec::new(),
            command_codes: Vec::new(),
            durations: Vec::new(),
            outcomes: Vec::new(),
            actions: Vec::new(),
            close_codes: Vec::new(),
            tags: Vec::new(),
            rollup: RollupMade::default(),
            grams: GramsMade::default(),
            latest_us: 0,
            damage_count: 0,
        }
    }

    fn record(&mut self, offset: u32, record: &RawRecord<'_>) {
        let kind = record.kind();
        let Some(table) = TableKind::of(kind) else { return self.name(record) };
        let ts_us = record.ts_us();
        self.latest_us = ts_us.unwrap_or(self.latest_us);
        let user = self.users.code(record.header.user);
        let room = self.rooms.code(record.header.room);
        let base = &mut self.tables[table.index()];
        base.times.push(self.latest_us);
        base.users.push(user);
        base.rooms.push(room);
        base.offs.push(offset);
        self.rollup.record(kind, record.header.stride(), ts_us);
        match table {
            TableKind::Messages => self.message(offset, record, user, room),
            TableKind::Statuses => {
                self.statuses.push(record.status().unwrap_or(0));
                self.errors.push(record.status_error().unwrap_or(0));
            }
            TableKind::Commands => {
                let command = record.command().unwrap_or_default();
                self.command_codes.push(self.commands.code(command));
                self.durations.push(record.duration_us().unwrap_or(0));
                self.outcomes.push(record.outcome().unwrap_or(0));
            }
            TableKind::Sessions => {
                self.actions.push(record.session_action().unwrap_or(0));
                self.close_codes.push(record.close_code().unwrap_or(0));
            }
            TableKind::Metrics => {}
            TableKind::Others => self.tags.push(record.header.tag),
        }
    }

    fn name(&mut self, record: &RawRecord<'_>) {
        let Some(RecordView::Name(name)) = RecordView::check(Kind::Name, record.payload) else {
            return;
        };
        let coder = match NameKind::from_byte(name.kind) {
            Some(NameKind::User) => &mut self.users,
            Some(NameKind::Room) => &mut self.rooms,
            Some(NameKind::Command) => &mut self.commands,
            None => return,
        };
        coder.learn(NameId(name.id.to_native()), &name.text);
    }

    fn message(&mut self, offset: u32, record: &RawRecord<'_>, user: u32, room: u32) {
        assert!(record.kind() == Some(Kind::Message));
        let text = record.message_text().unwrap_or_default();
        let size = u16::try_from(text.len()).unwrap_or(u16::MAX);
        let direction = record.message_direction_byte().unwrap_or(0);
        self.positions.push(record.message_position().unwrap_or(0));
        self.sizes.push(size);
        self.sources.push(record.message_source_byte().unwrap_or(0));
        self.directions.push(direction);
        let ts_us = self.latest_us;
        self.rollup.message(&MessageSeen { ts_us, user, room, size, direction });
        if self.purpose == Purpose::File {
            self.grams.text(offset, text);
        }
    }

    fn write(self, writer: &mut Writer) {
        let mut table_rows = [0; TableKind::ALL.len()];
        let (user_count, room_count) = (self.users.len(), self.rooms.len());
        for (table, base) in TableKind::ALL.into_iter().zip(&self.tables) {
            table_rows[table.index()] = base.times.len() as u32;
            times::write(&base.times, table, writer);
            codes(&base.users, user_count, table, [Column::User, Column::UserWide], writer);
            codes(&base.rooms, room_count, table, [Column::Room, Column::RoomWide], writer);
            writer.add_rows(SectionId::column(table, Column::Off), &base.offs);
        }
        let messages = |column| SectionId::column(TableKind::Messages, column);
        if self.positions.iter().all(|position| *position <= u64::from(u32::MAX)) {
            let narrow: Vec<_> = self.positions.iter().map(|position| *position as u32).collect();
            writer.add_rows(messages(Column::Position), &narrow);
        } else {
            writer.add_rows(messages(Column::PositionWide), &self.positions);
        }
        writer.add_rows(messages(Column::Size), &self.sizes);
        writer.add_rows(messages(Column::Source), &self.sources);
        writer.add_rows(messages(Column::Direction), &self.directions);
        let statuses = |column| SectionId::column(TableKind::Statuses, column);
        writer.add_rows(statuses(Column::Status), &self.statuses);
        writer.add_rows(statuses(Column::Error), &self.errors);
        let commands = |column| SectionId::column(TableKind::Commands, column);
        let columns = [Column::Command, Column::CommandWide];
        let command_count = self.commands.len();
        codes(&self.command_codes, command_count, TableKind::Commands, columns, writer);
        writer.add_rows(commands(Column::Duration), &self.durations);
        writer.add_rows(commands(Column::Outcome), &self.outcomes);
        let sessions = |column| SectionId::column(TableKind::Sessions, column);
        writer.add_rows(sessions(Column::Action), &self.actions);
        writer.add_rows(sessions(Column::CloseCode), &self.close_codes);
        writer.add(SectionId::column(TableKind::Others, Column::Tag), &self.tags);
        for coder in [&self.users, &self.rooms, &self.commands] {
            coder.write(writer);
        }
        self.rollup.write(table_rows, self.damage_count, user_count, room_count, writer);
        if self.purpose == Purpose::File {
            self.grams.write(writer);
        }
    }
}

/// Writes codes in two bytes each when all of them fit, else in four.
fn codes(
    codes: &[u32],
    name_count: usize,
    table: TableKind,
    [narrow, wide]: [Column; 2],
    writer: &mut Writer,
) {
    if name_count <= usize::from(u16::MAX) + 1 {
        let codes: Vec<_> = codes.iter().map(|code| *code as u16).collect();
        writer.add_rows(SectionId::column(table, narrow), &codes);
    } else {
        writer.add(SectionId::column(table, wide), &codes.to_vec());
    }
}
