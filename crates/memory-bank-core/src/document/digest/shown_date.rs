//! How a digest shows a date.

use jiff::civil::DateTime;

/// A date as this server writes it.
pub(super) fn shown(date: DateTime) -> String {
    if date.time() == jiff::civil::Time::midnight() {
        date.date().to_string()
    } else {
        date.strftime("%Y-%m-%d %H:%M").to_string()
    }
}
