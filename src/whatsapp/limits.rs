//! What the platform accepts in messages to it, from Meta's pages on sending; where a bound is our
//! own, it says so. Texts are counted in characters, as the platform does.

/// `text.body`.
pub const TEXT_CHARS_MAX: usize = 4_096;
/// Caption of an image, video or document.
pub const CAPTION_CHARS_MAX: usize = 1_024;
/// Body of buttons, of a link button and of a request for a location.
pub const INTERACTIVE_BODY_CHARS_MAX: usize = 1_024;
/// Body of a list.
pub const LIST_BODY_CHARS_MAX: usize = 4_096;
/// Header text of an interactive message.
pub const HEADER_CHARS_MAX: usize = 60;
/// Footer of an interactive message.
pub const FOOTER_CHARS_MAX: usize = 60;
/// Reply buttons of a message.
pub const BUTTONS_MAX: usize = 3;
/// Id of a reply button, which comes back when it is tapped.
pub const BUTTON_ID_CHARS_MAX: usize = 256;
/// Title of a button, also of the one that opens a list or a link.
pub const BUTTON_TITLE_CHARS_MAX: usize = 20;
/// Sections of a list.
pub const SECTIONS_MAX: usize = 10;
/// Rows of a list, of all its sections together.
pub const ROWS_MAX: usize = 10;
/// Title of a section.
pub const SECTION_TITLE_CHARS_MAX: usize = 24;
/// Id of a row, which comes back when it is chosen.
pub const ROW_ID_CHARS_MAX: usize = 200;
/// Title of a row.
pub const ROW_TITLE_CHARS_MAX: usize = 24;
/// Description of a row.
pub const ROW_DESCRIPTION_CHARS_MAX: usize = 72;
/// `biz_opaque_callback_data`, which comes back in every status of the message.
pub const CALLBACK_CHARS_MAX: usize = 512;
/// Name of a template.
pub const TEMPLATE_NAME_CHARS_MAX: usize = 512;

/// Name and address of a place. Ours: the platform names no bound.
pub const PLACE_CHARS_MAX: usize = 1_024;
/// A file's name. Ours: what file systems take.
pub const FILENAME_CHARS_MAX: usize = 240;
/// A link. Ours: what browsers and proxies take.
pub const LINK_CHARS_MAX: usize = 2_048;
/// An id of the platform: of a message, an uploaded file or a group. Ours.
pub const ID_CHARS_MAX: usize = 512;
/// Emoji of a reaction: the longest sequences have about ten. Ours.
pub const EMOJI_CHARS_MAX: usize = 16;
/// Contacts in one message. Ours.
pub const CONTACTS_MAX: usize = 32;
/// Phones, addresses and so on of one contact. Ours.
pub const CONTACT_PARTS_MAX: usize = 16;
/// A line of a contact. Ours.
pub const CONTACT_CHARS_MAX: usize = 512;
/// Components of a template, and parameters of a component. Ours.
pub const TEMPLATE_PARTS_MAX: usize = 64;
/// A text put into a template.
pub const TEMPLATE_VALUE_CHARS_MAX: usize = 1_024;

/// Digits of a phone number with its country code: ITU-T E.164 §6.2.1; fewer than the first number
/// is no subscriber's.
pub const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 5..=15;
/// Letters and digits of a business-scoped user id after its country.
pub const USER_ID_CHARS_MAX: usize = 128;

/// To one recipient from one number: a message in so many milliseconds.
pub const PAIR_INTERVAL_MS: u64 = 6_000;
/// Messages to one recipient at once, borrowed from later.
pub const PAIR_BURST: u32 = 45;
/// Days for which the id of an uploaded file can be sent.
pub const UPLOAD_DAYS: u32 = 30;

/// Largest file that may be sent or received by any kind, bytes.
pub const MEDIA_BYTES_MAX: u64 = 100_000_000;

const _: () = assert!(ROW_TITLE_CHARS_MAX <= ROW_ID_CHARS_MAX);
const _: () = assert!(
    crate::base::limits::TEXT_BYTES_MAX >= 4 * TEXT_CHARS_MAX,
    "whatever the platform takes, a room takes"
);
