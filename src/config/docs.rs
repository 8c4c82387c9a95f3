//! What people read, made from the table: the default file and the table in the documents.

use super::settings::{Preset, SETTINGS, Setting};
use std::fmt::Write as _;

/// A file in which every setting stands with its default, commented out where there is none, so
/// that loading it unchanged changes nothing but `server.dev`.
pub fn default_file() -> String {
    let mut text = String::from("# ringpost configuration. Flags and RINGPOST_* variables win.\n");
    let mut section_before = "";
    for setting in SETTINGS {
        let (section, name) = setting.key.split_once('.').expect("keys have a section");
        if section != section_before {
            let _ = write!(text, "\n[{section}]\n");
            section_before = section;
        }
        let _ = writeln!(text, "# {}", setting.help);
        let _ = match setting.preset {
            Preset::Nothing => writeln!(text, "# {name} ="),
            Preset::TrueWithoutFile => writeln!(text, "{name} = false"),
            _ => writeln!(text, "{name} = {}", preset_text(setting)),
        };
    }
    text
}

/// The table of `docs/OPERATING.md`, Markdown, one row per setting.
pub fn settings_table() -> String {
    let mut text = String::from(
        "| setting | flag | variable | expects | default | meaning |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for setting in SETTINGS {
        let flag = setting.flag.map_or(String::new(), |flag| format!("`--{flag}`"));
        let _ = writeln!(
            text,
            "| `{}` | {flag} | `{}` | {} | {} | {} |",
            setting.key,
            setting.env(),
            setting.kind,
            match setting.preset {
                Preset::Nothing => "not set".to_owned(),
                Preset::TrueWithoutFile => "`true` without `--config`".to_owned(),
                _ => format!("`{}`", preset_text(setting)),
            },
            setting.help,
        );
    }
    text
}

/// The default as it would stand in the file.
fn preset_text(setting: &Setting) -> String {
    match setting.preset {
        Preset::Nothing | Preset::TrueWithoutFile => String::new(),
        Preset::Bool(value) => value.to_string(),
        Preset::Integer(value) => value.to_string(),
        Preset::Text(value) => format!("{value:?}"),
    }
}
