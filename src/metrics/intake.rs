//! What came in from the platform since the start, counted by kind, and what was refused.
//!
//! One for the process, like its memory: shards add, the page of metrics and the watchdog read.

use std::sync::atomic::{AtomicU64, Ordering};

/// The fields of webhooks that are counted by name (`entry[].changes[].field`), as the platform's
/// pages list them; what is none of them is counted as the last.
pub const FIELDS: [&str; 31] = [
    "account_alerts",
    "account_review_update",
    "account_settings_update",
    "account_update",
    "automatic_events",
    "business_capability_update",
    "business_username_update",
    "business_username_updates",
    "calls",
    "flows",
    "group_lifecycle_update",
    "group_participants_update",
    "group_settings_update",
    "group_status_update",
    "history",
    "message_template_components_update",
    "message_template_quality_update",
    "message_template_status_update",
    "messages",
    "messaging_handovers",
    "partner_solutions",
    "payment_configuration_update",
    "phone_number_name_update",
    "phone_number_quality_update",
    "security",
    "smb_app_state_sync",
    "smb_message_echoes",
    "standby",
    "template_category_update",
    "user_preferences",
    "other",
];

/// The counts of this process.
pub static INTAKE: Intake = Intake::new();

/// Counts that only rise.
#[derive(Debug)]
pub struct Intake {
    updates: [AtomicU64; FIELDS.len()],
    refused: AtomicU64,
}

impl Intake {
    /// Nothing has come.
    const fn new() -> Self {
        Self { updates: [const { AtomicU64::new(0) }; FIELDS.len()], refused: AtomicU64::new(0) }
    }

    /// So many updates of a field came in.
    pub fn count(&self, field: &str, count: u64) {
        let index = FIELDS.iter().position(|known| *known == field).unwrap_or(FIELDS.len() - 1);
        self.updates[index].fetch_add(count, Ordering::Relaxed);
    }

    /// A webhook without our app's signature was refused.
    pub fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Webhooks refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Fields of which something came, and how many updates.
    pub fn updates(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.updates.iter().map(|count| count.load(Ordering::Relaxed));
        FIELDS.into_iter().zip(counts).filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_by_name_is_counted_too() {
        let intake = Intake::new();
        intake.count("messages", 3);
        intake.count("calls", 1);
        intake.count("messages", 2);
        intake.count("brand_new", 1);
        intake.count("", 1);
        let counts: Vec<_> = intake.updates().collect();
        assert_eq!(counts, [("calls", 1), ("messages", 5), ("other", 2)]);
        assert!(FIELDS[..FIELDS.len() - 1].is_sorted());
    }
}
