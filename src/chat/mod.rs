//! The pure domain: sessions, rooms, presence, receipts, history; events in, effects out.
