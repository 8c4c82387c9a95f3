//! Every kind of record through every format, read back.

use super::fields::{Field, TABLES, Type};
use super::{ScanError, not_built_in};
use crate::log::Kind;

#[test]
fn tables_hold_every_kind_once() {
    for kind in Kind::ALL {
        let tables = TABLES[1..].iter().filter(|table| table.holds(Some(*kind)));
        // Runs and prints stand in snapshots only, which are no part of the history.
        let want = usize::from(!matches!(kind, Kind::Run | Kind::Seen));
        assert_eq!(tables.count(), want, "{kind:?}");
        assert!(TABLES[0].holds(Some(*kind)));
    }
    assert!(TABLES[0].holds(None) && TABLES[1..].iter().all(|table| !table.holds(None)));
}

#[test]
fn fields_are_listed_in_order_and_codes_have_texts() {
    for (index, field) in Field::ALL.iter().enumerate() {
        assert_eq!(*field as usize, index);
        assert_eq!(field.ty() == Type::Code, !field.codes().is_empty(), "{field:?}");
    }
    for table in TABLES {
        assert!(table.fields.is_sorted_by_key(|field| *field as usize), "{}", table.name);
    }
}

#[test]
fn the_document_lists_every_column() {
    let document = include_str!("../../../docs/LOG_FORMAT.md");
    for field in Field::ALL {
        let ty = match field.ty() {
            Type::Count => "u64",
            Type::Number => "u32",
            Type::Time => "timestamp",
            Type::Code => "code",
            Type::Name | Type::Text => "text",
            Type::Bytes => "bytes",
            Type::Flag => "bool",
        };
        let row = format!("| `{}` | {ty} |", field.name());
        assert!(document.contains(&row), "docs/LOG_FORMAT.md lacks {row}");
    }
}

#[test]
fn a_build_without_parquet_says_how_to_get_one_with_it() {
    let ScanError::Argument(why) = not_built_in() else { panic!("the user's mistake: status 2") };
    assert!(why.contains("--features export"), "{why}");
}
